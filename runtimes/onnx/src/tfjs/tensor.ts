import type { Tensor } from '@tideway/core'

/** Types of TensorFlow.js's tensors that have a counterpart in ONNX. */
export type TfType = 'float32' | 'int32' | 'bool'

/** A tensor as a Graph model stores it. */
export interface Stored {
  readonly dtype: TfType
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array | Uint8Array
}

/** As TensorFlow.js holds ONNX's types: 64-bit integers are indices and sizes, which 32 bits hold. */
const TYPES: Readonly<Partial<Record<Tensor['dtype'], TfType>>> = {
  float32: 'float32',
  int32: 'int32',
  int64: 'int32',
  bool: 'bool',
}

export const tfType = (dtype: Tensor['dtype']): TfType | undefined => TYPES[dtype]

const [LEAST, MOST] = [-(2 ** 31), 2 ** 31 - 1]

/** A tensor of ONNX as TensorFlow.js would have it; undefined for a type or an integer that it has no room for. */
export function storedOf({ dtype, shape, data }: Tensor): Stored | undefined {
  if (dtype === 'float32') return { dtype, shape, data }
  if (dtype === 'bool') return { dtype, shape, data }
  if (dtype === 'int32') return { dtype, shape, data }
  if (dtype !== 'int64') return undefined
  const numbers = Array.from(data, Number)
  if (numbers.some((number) => number < LEAST || number > MOST)) return undefined
  return { dtype: 'int32', shape, data: Int32Array.from(numbers) }
}

export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

/** The same elements, axes in another order: axis `at` of the result is axis `perm[at]` of the tensor. */
export function permuted<T extends Stored>(tensor: T, perm: readonly number[]): T {
  const { shape, data } = tensor
  const steps = shape.map((_, axis) => elements(shape.slice(axis + 1)))
  const next = perm.map((axis) => shape[axis] as number)
  const moved = data.slice()
  const place = next.map(() => 0)
  let from = 0
  for (let at = 0; at < moved.length; at++) {
    moved[at] = data[from] as number
    for (let axis = next.length - 1; axis >= 0; axis--) {
      const step = steps[perm[axis] as number] as number
      place[axis] = (place[axis] as number) + 1
      from += step
      if ((place[axis] as number) < (next[axis] as number)) break
      from -= step * (next[axis] as number)
      place[axis] = 0
    }
  }
  return { ...tensor, shape: next, data: moved }
}

/** A kernel [m, c, ...sizes] with zeros between its elements: TensorFlow.js has either strides or dilations. */
export function spread(kernel: Stored, dilations: readonly number[]): Stored {
  const [m = 1, c = 1, ...sizes] = kernel.shape
  const wide = sizes.map((size, axis) => (size - 1) * (dilations[axis] ?? 1) + 1)
  const data = new Float32Array(m * c * elements(wide))
  const [inside, outside] = [elements(sizes), elements(wide)]
  for (let at = 0; at < kernel.data.length; at++) {
    let [rest, place, step] = [at % inside, 0, 1]
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const size = sizes[axis] as number
      place += (rest % size) * (dilations[axis] ?? 1) * step
      rest = Math.floor(rest / size)
      step *= wide[axis] as number
    }
    data[Math.floor(at / inside) * outside + place] = kernel.data[at] as number
  }
  return { dtype: 'float32', shape: [m, c, ...wide], data }
}

/** Part `at` of `count` equal parts along the first axis. */
export function partOf(tensor: Stored, at: number, count: number): Stored {
  const [whole = 1, ...rest] = tensor.shape
  const length = tensor.data.length / count
  return { ...tensor, shape: [whole / count, ...rest], data: tensor.data.subarray(at * length, (at + 1) * length) }
}
