import {
  type BlobRef,
  elementCount,
  encodeTensors,
  halfToNumber,
  type Session,
  type Tensor,
  type Tensors,
  type Variant,
} from '@tideway/core'
import { cloudErrors } from '../errors.js'
import type { Artifacts } from './artifacts.js'
import type { OtherEngine } from './engines.js'
import { rowsOf } from './evaluate.js'
import type { Part } from './split.js'

/** Rows of a test, where there are so many and the model takes any number. */
export const KNOWN_ROWS = 8
/** What float kernels of different engines may differ by on outputs of order one (sums of some hundred products). */
const FLOAT_TOLERANCE = 1e-3
/** Engines and processors that were not tried may lie this much further apart than those that were. */
const ENGINE_MARGIN = 2
/** An engine this many times further away than rounding or quantization explain computes the variant wrongly. */
const UNABLE_FACTOR = 10

export type KnownAnswers = BlobRef &
  Pick<Variant['knownAnswers'], 'rows' | 'tolerance' | 'top1Margin' | 'toleranceCause'>

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
 * The tolerance, whose cause is stored with it, is the greatest of: what float sums in another order differ by; what
 * other engines gave for the same rows, twice; and, for a quantized variant, the largest error that the quantization
 * itself made on these rows, since a sum next to a rounding boundary may land one step away on a processor that was not
 * tried and carry on through later layers. A wrong or damaged model exceeds it. An engine whose answers are not finite, or
 * further away than sums and quantization explain, counts as one that cannot run the variant.
 *
 * Throws `ANSWERS_NOT_FINITE` where the variant itself, or the float model, answers so: no tolerance holds then.
 */
export async function storeKnownAnswers(artifacts: Artifacts, answering: Answering): Promise<KnownAnswers> {
  const { variant, float, rows: inputs } = answering
  const outputs = await variant.run(inputs)
  const reference = variant === float ? outputs : await float.run(inputs)
  refuseNotFinite(outputs, reference)
  const sizes = Object.entries(outputs).map(([name, output]) => largestDifference(output, reference[name]!))
  const quantization = Math.max(...sizes)
  const engines = await differences(answering, inputs, outputs, quantization)
  const causes = {
    rounding: FLOAT_TOLERANCE,
    quantization,
    engines: ENGINE_MARGIN * Math.max(...Object.values(engines)),
  }
  const tolerance = Math.max(...Object.values(causes))
  const kind = (Object.keys(causes) as (keyof typeof causes)[]).find((cause) => causes[cause] === tolerance)!
  const ref = await artifacts.putBlob(encodeTensors({ inputs, outputs }))
  const [first] = variant.signature.outputs
  const classifies = answering.classifies && elementCount(outputs[first!.name]!.shape.slice(1)) > 1
  const toleranceCause = { kind, engines }
  const rows = Object.values(inputs)[0]?.shape[0] ?? 0
  return { ...ref, rows, tolerance, toleranceCause, ...(classifies && { top1Margin: 2 * tolerance }) }
}

/** Of a part of a data set, what a test takes of it. */
export function testedRows({ signature }: Session, { inputs, targets }: Part): Pick<Answering, 'rows' | 'classifies'> {
  const rows = Math.min(KNOWN_ROWS, inputs.shape[0] ?? 0)
  return { rows: { [signature.inputs[0]!.name]: rowsOf(inputs, 0, rows) }, classifies: targets.dtype !== 'float32' }
}

/**
 * The largest difference of any output of other engines to this one's, by engine; those that cannot run it, or compute it
 * wrongly, left out.
 */
async function differences(
  { engine, others, file, onUnable }: Answering,
  inputs: Tensors,
  outputs: Tensors,
  quantization: number,
): Promise<Record<string, number>> {
  const found: Record<string, number> = { [engine]: 0 }
  for (const other of others) {
    try {
      const answers = await other.run(file, inputs)
      const sizes = Object.entries(outputs).map(([name, output]) => {
        const size = largestDifference(output, answers[name]!)
        const most = UNABLE_FACTOR * Math.max(FLOAT_TOLERANCE * Math.max(1, largest(output)), quantization)
        // Not finite is not within either.
        if (!(size <= most))
          throw new Error(`its answers (${name}) are ${size.toPrecision(3)} off, above ${most.toPrecision(3)}`)
        return size
      })
      found[other.name] = Math.max(...sizes)
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

/** 0 for texts, which a device compares as they are. */
function largestDifference(a: Tensor, b: Tensor): number {
  if (a.dtype === 'string') return 0
  let largest = 0
  for (let i = 0; i < a.data.length; i += 1) largest = Math.max(largest, Math.abs(numberAt(a, i) - numberAt(b, i)))
  return largest
}

function largest(tensor: Tensor): number {
  if (tensor.dtype === 'string') return 0
  let most = 0
  for (let i = 0; i < tensor.data.length; i += 1) most = Math.max(most, Math.abs(numberAt(tensor, i)))
  return most
}

function numberAt({ dtype, data }: Tensor, index: number): number {
  return dtype === 'float16' ? halfToNumber(data[index]!) : Number(data[index])
}
