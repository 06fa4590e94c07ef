import { type Dataset, elementCount, errors, type Split, type Tensor } from '@tideway/core'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Rows of the model's float32 input and their targets. */
export interface Part {
  readonly inputs: Tensor & { readonly dtype: 'float32' }
  readonly targets: Tensor
}

export interface Parts {
  readonly train: Part
  readonly validation: Part
  readonly test: Part
}

/** A permutation of 0..n-1 by Fisher and Yates; the same seed gives the same one everywhere. */
export function permutation(n: number, seed: number): Int32Array {
  const random = xoroshiro128plus(seed)
  const order = Int32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i -= 1) {
    const j = uniformInt(random, 0, i)
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}

/**
 * Cuts a data set into its three parts, in order or shuffled by the split's seed; inputs become float32 times the
 * data set's scale. Throws `INPUT_REJECTED` when the parts ask for more rows than there are.
 */
export function splitDataset(dataset: Pick<Dataset, 'inputs' | 'targets' | 'scale'>, split: Split): Parts {
  const rows = dataset.inputs.shape[0] ?? 0
  const wanted = split.train + split.validation + split.test
  const issues: string[] = []
  if (wanted > rows) issues.push(`split: wants ${wanted} rows, the data has ${rows}`)
  if (dataset.targets.shape[0] !== rows)
    issues.push(`targets: ${dataset.targets.shape[0]} rows for ${rows} rows of inputs`)
  if (issues.length > 0) throw errors.INPUT_REJECTED({ what: 'data set', issues })
  const order = split.by === 'order' ? Int32Array.from({ length: rows }, (_, i) => i) : permutation(rows, split.seed)
  const part = (from: number, count: number): Part => {
    const chosen = order.subarray(from, from + count)
    return {
      inputs: floatRows(dataset.inputs, chosen, dataset.scale ?? 1),
      targets: targetRows(dataset.targets, chosen),
    }
  }
  return {
    train: part(0, split.train),
    validation: part(split.train, split.validation),
    test: part(split.train + split.validation, split.test),
  }
}

/** The named rows of a tensor, copied. */
export function takeRows(tensor: Tensor, rows: ArrayLike<number>): Tensor {
  const width = elementCount(tensor.shape.slice(1))
  const { dtype, data } = tensor
  const shape = [rows.length, ...tensor.shape.slice(1)]
  const pieces = Array.from(rows, (row) => data.slice(row * width, (row + 1) * width))
  return { dtype, shape, data: concatenate(data, pieces, rows.length * width) } as Tensor
}

function concatenate(like: Tensor['data'], pieces: readonly Tensor['data'][], length: number): Tensor['data'] {
  if (Array.isArray(like)) return (pieces as string[][]).flat()
  const joined = new (like.constructor as new (length: number) => Float32Array)(length)
  let at = 0
  for (const piece of pieces) {
    joined.set(piece as Float32Array, at)
    at += piece.length
  }
  return joined
}

/** Class indices as int32, whatever they were stored as. */
function targetRows(tensor: Tensor, rows: Int32Array): Tensor {
  const taken = takeRows(tensor, rows)
  return taken.dtype === 'uint8' ? { dtype: 'int32', shape: taken.shape, data: Int32Array.from(taken.data) } : taken
}

function floatRows(tensor: Tensor, rows: Int32Array, scale: number): Part['inputs'] {
  if (tensor.dtype !== 'float32' && tensor.dtype !== 'uint8')
    throw errors.INPUT_REJECTED({ what: 'data set', issues: [`inputs: ${tensor.dtype}, must be float32 or uint8`] })
  const width = elementCount(tensor.shape.slice(1))
  const data = new Float32Array(rows.length * width)
  for (let i = 0; i < rows.length; i += 1) {
    const start = rows[i]! * width
    for (let j = 0; j < width; j += 1) data[i * width + j] = tensor.data[start + j]! * scale
  }
  return { dtype: 'float32', shape: [rows.length, ...tensor.shape.slice(1)], data }
}
