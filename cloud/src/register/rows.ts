import type { Session, Tensors } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import { KNOWN_ROWS } from '../pipeline/known-answers.js'
import { inRuns } from '../predict/engine.js'
import { fixedRows, pickRows, rowCount } from '../quantize/batches.js'
import { madeUpRow } from '../serving/independent.js'
import { joined, takesBatches } from '../serving/rows.js'

/** The rows of the known-answer test: so many as the model takes at once where it fixes that, else the first eight. */
export function testRows(session: Session, inputs: Tensors): Tensors {
  const have = rowCount(inputs)
  const count = fixedRows(session.signature) ?? Math.min(KNOWN_ROWS, have)
  return pickRows(
    inputs,
    Array.from({ length: count }, (_, at) => at % have),
  )
}

/** Rows that nobody gave. Throws `ROWS_NEEDED` where the model does not take them. */
export async function madeUpRows(session: Session): Promise<Tensors> {
  const { signature } = session
  const count = fixedRows(signature) ?? (takesBatches(signature) ? KNOWN_ROWS : 1)
  const rows = joined(Array.from({ length: count }, (_, at) => madeUpRow(signature, at + 1)))
  await session.run(rows).catch((error: unknown) => {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw cloudErrors.ROWS_NEEDED({ reason }, error)
  })
  return rows
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
