import { type BlobRef, elementCount, encodeTensors, type Session, type Tensor } from '@tideway/core'
import type { Artifacts } from './artifacts.js'
import { rowsOf } from './evaluate.js'
import type { Part } from './split.js'

const ROWS = 8
/** What float kernels of different engines may differ by on outputs of order one (sums of some hundred products). */
const FLOAT_TOLERANCE = 1e-3

export type KnownAnswers = BlobRef & { rows: number; tolerance: number; top1Margin?: number }

/**
 * Stores the known-answer test of one variant: rows, and the outputs that this variant gave here.
 *
 * The tolerance covers engines that sum in another order: for a float variant that is rounding; in an integer variant a
 * sum next to a rounding boundary may land one step away and carry on through later layers, so there it is the largest
 * error that the quantization itself made on these rows, which a wrong or damaged model exceeds.
 */
export async function storeKnownAnswers(
  artifacts: Artifacts,
  variant: Session,
  float: Session,
  part: Part,
): Promise<KnownAnswers> {
  const rows = Math.min(ROWS, part.inputs.shape[0] ?? 0)
  const inputs = { [variant.signature.inputs[0]!.name]: rowsOf(part.inputs, 0, rows) }
  const outputs = await variant.run(inputs)
  const reference = variant === float ? outputs : await float.run(inputs)
  const name = variant.signature.outputs[0]!.name
  const tolerance = Math.max(FLOAT_TOLERANCE, largestDifference(outputs[name]!, reference[name]!))
  const ref = await artifacts.putBlob(encodeTensors({ inputs, outputs }))
  const classifies = part.targets.dtype !== 'float32' && elementCount(outputs[name]!.shape.slice(1)) > 1
  return { ...ref, rows, tolerance, ...(classifies && { top1Margin: 2 * tolerance }) }
}

function largestDifference(a: Tensor, b: Tensor): number {
  let largest = 0
  for (let i = 0; i < a.data.length; i += 1)
    largest = Math.max(largest, Math.abs(Number(a.data[i]) - Number(b.data[i])))
  return largest
}
