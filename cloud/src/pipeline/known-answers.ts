import { type BlobRef, elementCount, encodeTensors, type Session, type Tensors, type Variant } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import type { Artifacts } from './artifacts.js'
import type { OtherEngine } from './engines.js'
import { rowsOf } from './evaluate.js'
import type { Part } from './split.js'
import { type ByOutput, differencesOf, numberAt, refuseFar, roundingOf, tolerancesOf } from './tolerance.js'

/** Rows of a test, where there are so many and the model takes any number. */
export const KNOWN_ROWS = 8

export type KnownAnswers = BlobRef &
  Pick<Variant['knownAnswers'], 'rows' | 'tolerance' | 'tolerances' | 'top1Margin' | 'toleranceCause'>

export interface Answering {
  readonly variant: Session
  /** The variant's file, for other engines. */
  readonly file: Uint8Array
  readonly float: Session
  /** Of every input, the rows of the test. */
  readonly rows: Tensors
  /** Whether the class of each row counts, beside the numbers. */
  readonly classifies: boolean
  /** The engine that answers, by name. */
  readonly engine: string
  readonly others: readonly OtherEngine[]
  /** Told what another engine could not run. */
  readonly onUnable: (engine: string, reason: string) => void
}

/**
 * Stores the known-answer test of one variant: rows, and the outputs that this variant gave here.
 *
 * The tolerance of an output, and for all of them the greatest, whose cause is stored with it, is the greatest of: what float
 * sums in another order differ by, a share of the largest number; what other engines gave for the same rows, twice; and, for a
 * quantized variant, the largest error that the quantization itself made on these rows, since a sum next to a rounding boundary
 * may land one step away on a processor that was not tried and carry on through later layers. A wrong or damaged model exceeds
 * it. An engine whose answers are not finite, or further away than sums and quantization explain, counts as one that cannot run
 * the variant.
 *
 * Throws `ANSWERS_NOT_FINITE` where the variant itself, or the float model, answers so: no tolerance holds then; and
 * `ANSWERS_NOT_COMPARABLE` where the two answer in different shapes.
 */
export async function storeKnownAnswers(
  artifacts: Pick<Artifacts, 'putBlob'>,
  answering: Answering,
): Promise<KnownAnswers> {
  const { variant, float, rows: inputs } = answering
  const outputs = await variant.run(inputs)
  const reference = variant === float ? outputs : await float.run(inputs)
  refuseNotFinite(outputs, reference)
  const [rounding, quantization] = [roundingOf(outputs), differencesOf(outputs, reference)]
  const differences = await ofOthers(answering, inputs, outputs, (found) => refuseFar(found, rounding, quantization))
  const tolerances = tolerancesOf(rounding, quantization, [...differences.values()])
  const [widest] = Object.values(tolerances).toSorted((a, b) => b.tolerance - a.tolerance)
  const { tolerance, kind } = widest!
  const engines: Record<string, number> = { [answering.engine]: 0 }
  for (const [name, found] of differences) engines[name] = Math.max(...Object.values(found))
  const ref = await artifacts.putBlob(encodeTensors({ inputs, outputs }))
  const rows = Object.values(inputs)[0]?.shape[0] ?? 1
  // A class of a row is where a device looks for one.
  const classes = Object.entries(outputs).filter(
    ([, { dtype, shape }]) => dtype !== 'string' && shape.length === 2 && shape[1]! > 1,
  )
  const margin = 2 * Math.max(0, ...classes.map(([name]) => tolerances[name]!.tolerance))
  return {
    ...ref,
    rows,
    tolerance,
    ...(Object.keys(tolerances).length > 1 && {
      tolerances: Object.fromEntries(Object.entries(tolerances).map(([name, one]) => [name, one.tolerance])),
    }),
    toleranceCause: { kind, engines },
    ...(answering.classifies && classes.length > 0 && { top1Margin: margin }),
  }
}

/** Of a part of a data set, what a test takes of it. */
export function testedRows({ signature }: Session, { inputs, targets }: Part): Pick<Answering, 'rows' | 'classifies'> {
  const rows = Math.min(KNOWN_ROWS, inputs.shape[0] ?? 0)
  return { rows: { [signature.inputs[0]!.name]: rowsOf(inputs, 0, rows) }, classifies: targets.dtype !== 'float32' }
}

/** What other engines differ by, by engine; those that cannot run it, or compute it wrongly, left out. */
async function ofOthers(
  { others, file, onUnable }: Answering,
  inputs: Tensors,
  outputs: Tensors,
  check: (differences: ByOutput) => void,
): Promise<Map<string, ByOutput>> {
  const found = new Map<string, ByOutput>()
  for (const other of others) {
    try {
      const differences = differencesOf(outputs, await other.run(file, inputs))
      check(differences)
      found.set(other.name, differences)
    } catch (error) {
      onUnable(other.name, (error instanceof Error ? error.message : String(error)).split('\n')[0]!)
    }
  }
  return found
}

function refuseNotFinite(outputs: Tensors, reference: Tensors): void {
  const issuesOf = (answers: Tensors, whose: string) =>
    Object.entries(answers).flatMap(([name, tensor]) => {
      if (tensor.dtype === 'string') return []
      const width = Math.max(1, elementCount(tensor.shape.slice(1)))
      for (let i = 0; i < tensor.data.length; i += 1)
        if (!Number.isFinite(numberAt(tensor, i)))
          return [`output "${name}"${whose} is ${numberAt(tensor, i)} for row ${Math.floor(i / width) + 1}`]
      return []
    })
  const issues = issuesOf(outputs, '')
  if (reference !== outputs) issues.push(...issuesOf(reference, ' of the float model'))
  if (issues.length > 0) throw cloudErrors.ANSWERS_NOT_FINITE({ issues })
}
