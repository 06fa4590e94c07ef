import type { Session, Tensors } from '@tideway/core'
import { KNOWN_ROWS } from '../pipeline/known-answers.js'
import { inRuns } from '../predict/engine.js'
import { fixedRows, pickRows, rowCount } from '../quantize/batches.js'

/**
 * Rows for the known-answer test, from all over those that are given: so many as the model takes at once where it fixes that,
 * else eight.
 */
export function testedInputs({ signature }: Session, inputs: Tensors): Tensors {
  const have = rowCount(inputs)
  const count = fixedRows(signature) ?? Math.min(KNOWN_ROWS, have)
  return pickRows(
    inputs,
    Array.from({ length: count }, (_, at) => (have < count ? at % have : Math.floor((at * have) / count))),
  )
}

/** A session that takes any number of rows, where the model itself fixes it. */
export function ofAnyRows(session: Session): Session {
  const fixed = fixedRows(session.signature)
  if (fixed === undefined) return session
  return {
    signature: session.signature,
    run: (inputs) => inRuns(inputs, fixed, true, (part) => session.run(part)),
    dispose: () => session.dispose(),
  }
}

/** Whether there is one answer to each row, as scores and profiles take it. */
export function answersRows(outputs: Tensors, inputs: Tensors): boolean {
  const rows = rowCount(inputs)
  return Object.values(outputs).every(({ shape }) => shape[0] === rows)
}
