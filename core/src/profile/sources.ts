import { elementCount, type Tensor, type Tensors } from '../contracts/tensor.js'
import { bfloat16ToNumber } from '../runtime/bfloat16.js'
import { halfToNumber } from '../runtime/half.js'
import type { Statistic } from './schema.js'

/** An input or output that statistics read, as numbers, for the batch at hand. */
export interface Source {
  readonly name: string
  readonly side: 'input' | 'output'
  /** Row-major; empty when the batch lacks it. */
  data: ArrayLike<number>
  /** Values a row. */
  width: number
  rows: number
  /** What a value is multiplied by to lie in 0 to 1 when it is a pixel. */
  pixelScale: number
  /** Whole numbers, which as a single output are labels themselves. */
  whole: boolean
}

/** The tensor that a statistic reads. */
export function sourceOf(statistic: Statistic): { name: string; side: 'input' | 'output' } {
  return 'input' in statistic && typeof statistic.input === 'string'
    ? { name: statistic.input, side: 'input' }
    : { name: String(statistic.output), side: 'output' }
}

/** A source that no batch was bound to yet. */
export function createSource(name: string, side: 'input' | 'output'): Source {
  return { name, side, data: [], width: 0, rows: 0, pixelScale: 1, whole: false }
}

/** Points the source at this batch; the first dimension is rows. */
export function bindSource(source: Source, inputs: Tensors, outputs: Tensors): void {
  const tensors = source.side === 'input' ? inputs : outputs
  const tensor = Object.hasOwn(tensors, source.name) ? tensors[source.name] : undefined
  source.data = tensor ? numbersOf(tensor) : []
  source.rows = tensor ? (tensor.shape[0] ?? 1) : 0
  source.width = tensor ? elementCount(tensor.shape.slice(1)) : 0
  source.pixelScale = tensor?.dtype === 'uint8' ? 1 / 255 : 1
  source.whole = tensor !== undefined && !/^b?float/.test(tensor.dtype)
}

/** Without a copy where the data are numbers already. */
function numbersOf(tensor: Tensor): ArrayLike<number> {
  switch (tensor.dtype) {
    case 'float16':
      return Float32Array.from(tensor.data, halfToNumber)
    case 'bfloat16':
      return Float32Array.from(tensor.data, bfloat16ToNumber)
    case 'int64':
    case 'uint64':
      return Float64Array.from(tensor.data as Iterable<bigint> & ArrayLike<bigint>, Number)
    case 'string':
      return Float64Array.from(tensor.data, (text) => (text.trim() === '' ? Number.NaN : Number(text)))
    default:
      return tensor.data
  }
}
