import type { Tensor, Tensors } from '@tideway/core'
import { attributesOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { toTensor } from '../../format/tensor.js'
import type { Node } from '../../generated/onnx_pb.js'
import { roundHalfToEven, saturate, UINT8 } from '../reference.js'

/** Any tensor with its values as doubles. */
interface Values {
  readonly shape: readonly number[]
  readonly data: Float64Array
  readonly dtype: string
}

/**
 * A quantized file in operators on integers, computed in plain TypeScript by what the operators are defined to do: exact
 * sums of integers, one multiplication by the ratio of scales, rounding half to even, saturation. Slow and obviously
 * right; knows the operators that the quantizer writes.
 */
export function interpret(onnx: Uint8Array, inputs: Tensors): Map<string, Values> {
  const graph = readModel(onnx).graph
  const values = new Map<string, Values>()
  for (const tensor of graph?.initializer ?? []) values.set(tensor.name ?? '', valuesOf(toTensor(tensor)))
  for (const [name, tensor] of Object.entries(inputs)) values.set(name, valuesOf(tensor))
  for (const node of graph?.node ?? []) {
    const taken = node.input.map((name) => values.get(name))
    const run = OPERATORS[node.opType ?? '']
    if (run === undefined) throw new Error(`the interpreter does not know ${node.opType}`)
    values.set(node.output[0] ?? '', run(taken, node))
  }
  return new Map((graph?.output ?? []).map(({ name = '' }) => [name, values.get(name) as Values]))
}

const valuesOf = (tensor: Tensor): Values => ({
  shape: tensor.shape,
  data: Float64Array.from(tensor.data as ArrayLike<unknown>, Number),
  dtype: tensor.dtype,
})

type Taken = readonly (Values | undefined)[]
type Operator = (taken: Taken, node: Node) => Values

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
const at = (taken: Taken, place: number): Values => {
  const value = taken[place]
  if (value === undefined) throw new Error(`input ${place} is missing`)
  return value
}
const first = (taken: Taken, place: number): number => at(taken, place).data[0] ?? 0
const channelOf = (values: Values, channel: number): number => values.data[values.data.length === 1 ? 0 : channel] ?? 0

/** Real values to uint8. */
const integers = (shape: readonly number[], real: Float64Array, scale: number, zero: number): Values => ({
  shape,
  data: real.map((x) => saturate(roundHalfToEven(x / scale) + zero, UINT8)),
  dtype: 'uint8',
})
const real = (values: Values, scale: number, zero: number): Float64Array => values.data.map((q) => (q - zero) * scale)

const OPERATORS: Readonly<Record<string, Operator>> = {
  // The division is defined in float32: a double would decide some ties another way.
  QuantizeLinear: (taken) => {
    const [scale, zero] = [first(taken, 1), first(taken, 2)]
    const data = at(taken, 0).data.map((x) => saturate(roundHalfToEven(Math.fround(x / scale)) + zero, UINT8))
    return { shape: at(taken, 0).shape, data, dtype: 'uint8' }
  },
  DequantizeLinear: (taken) => ({
    shape: at(taken, 0).shape,
    data: real(at(taken, 0), first(taken, 1), taken[2] === undefined ? 0 : first(taken, 2)),
    dtype: 'float32',
  }),
  QLinearConv: (taken, node) => {
    const [x, w] = [at(taken, 0), at(taken, 3)]
    const { shape, sums } = convolution(x, first(taken, 2), w, taken[8], node)
    const inner = count(shape.slice(2))
    const scaled = sums.map(
      (sum, i) => sum * first(taken, 1) * channelOf(at(taken, 4), Math.floor(i / inner) % (shape[1] ?? 1)),
    )
    return integers(shape, scaled, first(taken, 6), first(taken, 7))
  },
  QGemm: (taken) => {
    const { shape, sums } = product(at(taken, 0), first(taken, 2), at(taken, 3), 0)
    const columns = shape[1] ?? 1
    const scaled = sums.map(
      (sum, i) => (sum + (taken[6]?.data[i % columns] ?? 0)) * first(taken, 1) * channelOf(at(taken, 4), i % columns),
    )
    if (taken[7] === undefined) return { shape, data: scaled, dtype: 'float32' }
    return integers(shape, scaled, first(taken, 7), first(taken, 8))
  },
  MatMulIntegerToFloat: (taken) => {
    const { shape, sums } = product(at(taken, 0), first(taken, 4), at(taken, 1), first(taken, 5))
    const columns = shape.at(-1) ?? 1
    const data = sums.map(
      (sum, i) => sum * first(taken, 2) * channelOf(at(taken, 3), i % columns) + (taken[6]?.data[i % columns] ?? 0),
    )
    return { shape, data, dtype: 'float32' }
  },
  QLinearMatMul: (taken) => {
    const { shape, sums } = product(at(taken, 0), first(taken, 2), at(taken, 3), first(taken, 5))
    const columns = shape.at(-1) ?? 1
    const scaled = sums.map((sum, i) => sum * first(taken, 1) * channelOf(at(taken, 4), i % columns))
    return integers(shape, scaled, first(taken, 6), first(taken, 7))
  },
  QLinearAdd: (taken) => pairwise(taken, (a, b) => a + b),
  QLinearMul: (taken) => pairwise(taken, (a, b) => a * b),
  QLinearGlobalAveragePool: (taken) => {
    const x = at(taken, 0)
    const inner = count(x.shape.slice(2))
    const values = real(x, first(taken, 1), first(taken, 2))
    const means = Float64Array.from({ length: values.length / inner }, (_, i) =>
      values.subarray(i * inner, (i + 1) * inner).reduce((sum, value) => sum + value / inner, 0),
    )
    const shape = [...x.shape.slice(0, 2), ...x.shape.slice(2).map(() => 1)]
    return integers(shape, means, first(taken, 3), first(taken, 4))
  },
  QLinearAveragePool: (taken, node) => {
    const x = at(taken, 0)
    const values = { ...x, data: real(x, first(taken, 1), first(taken, 2)) }
    const pooled = pool(values, node, (inside) => inside.reduce((sum, value) => sum + value, 0) / inside.length)
    return integers(pooled.shape, pooled.data, first(taken, 3), first(taken, 4))
  },
  MaxPool: (taken, node) => pool(at(taken, 0), node, (inside) => Math.max(...inside)),
  Reshape: (taken) => {
    const x = at(taken, 0)
    const wanted = Array.from(at(taken, 1).data).map((size, axis) => (size === 0 ? (x.shape[axis] ?? 1) : size))
    const known = wanted.filter((size) => size > 0).reduce((product, size) => product * size, 1)
    return { ...x, shape: wanted.map((size) => (size < 0 ? x.data.length / known : size)) }
  },
  Flatten: (taken) => {
    const x = at(taken, 0)
    return { ...x, shape: [x.shape[0] ?? 1, x.data.length / (x.shape[0] ?? 1)] }
  },
  Squeeze: (taken) => {
    const x = at(taken, 0)
    const axes = new Set(at(taken, 1).data)
    return { ...x, shape: x.shape.filter((_, axis) => !axes.has(axis)) }
  },
  Transpose: (taken, node) => {
    const x = at(taken, 0)
    const perm = (attributesOf(node)['perm'] as readonly bigint[]).map(Number)
    const shape = perm.map((axis) => x.shape[axis] ?? 1)
    const data = x.data.map((_, i) => {
      const place = coordinates(i, shape)
      const from: number[] = []
      for (const [to, axis] of perm.entries()) from[axis] = place[to] ?? 0
      return x.data[flat(from, x.shape)] ?? 0
    })
    return { ...x, shape, data }
  },
  Concat: (taken) => {
    // Along axis 1.
    const parts = taken.map((_, place) => at(taken, place))
    const [head] = parts as [Values]
    const rows = head.shape[0] ?? 1
    const widths = parts.map(({ data }) => data.length / rows)
    const width = widths.reduce((sum, own) => sum + own, 0)
    const data = new Float64Array(rows * width)
    let offset = 0
    for (const [place, part] of parts.entries()) {
      const own = widths[place] ?? 0
      for (let row = 0; row < rows; row++)
        data.set(part.data.subarray(row * own, (row + 1) * own), row * width + offset)
      offset += own
    }
    const channels = parts.reduce((sum, { shape }) => sum + (shape[1] ?? 1), 0)
    return { ...head, shape: [rows, channels, ...head.shape.slice(2)], data }
  },
  QLinearConcat: (taken, node) => {
    const parts = Array.from({ length: (taken.length - 2) / 3 }, (_, i) => {
      const x = at(taken, 2 + 3 * i)
      return { ...x, data: real(x, first(taken, 3 + 3 * i), first(taken, 4 + 3 * i)) }
    })
    const joined = OPERATORS['Concat']?.(parts, node) as Values
    return integers(joined.shape, joined.data, first(taken, 0), first(taken, 1))
  },
  Softmax: (taken) => {
    const x = at(taken, 0)
    const width = x.shape.at(-1) ?? 1
    const data = new Float64Array(x.data.length)
    for (let begin = 0; begin < data.length; begin += width) {
      const row = x.data.subarray(begin, begin + width)
      const most = Math.max(...row)
      const total = row.reduce((sum, value) => sum + Math.exp(value - most), 0)
      for (const [i, value] of row.entries()) data[begin + i] = Math.exp(value - most) / total
    }
    return { ...x, data }
  },
  Relu: (taken) => ({ ...at(taken, 0), data: at(taken, 0).data.map((x) => Math.max(0, x)) }),
}

function pairwise(taken: Taken, join: (a: number, b: number) => number): Values {
  const [a, b] = [at(taken, 0), at(taken, 3)]
  const [left, right] = [real(a, first(taken, 1), first(taken, 2)), real(b, first(taken, 4), first(taken, 5))]
  const rank = Math.max(a.shape.length, b.shape.length)
  const lifted = [a, b].map(({ shape }) => [...Array.from({ length: rank - shape.length }, () => 1), ...shape]) as [
    number[],
    number[],
  ]
  const shape = lifted[0].map((size, axis) => Math.max(size, lifted[1][axis] ?? 1))
  const pick = (values: Float64Array, own: readonly number[], place: readonly number[]): number =>
    values[
      flat(
        place.map((x, axis) => (own[axis] === 1 ? 0 : x)),
        own,
      )
    ] ?? 0
  const data = Float64Array.from({ length: count(shape) }, (_, i) => {
    const place = coordinates(i, shape)
    return join(pick(left, lifted[0], place), pick(right, lifted[1], place))
  })
  return integers(shape, data, first(taken, 6), first(taken, 7))
}

/** Exact sums of a matrix product over the last two dimensions; a matrix on the right serves all on the left. */
function product(a: Values, zeroA: number, b: Values, zeroB: number): { shape: number[]; sums: Float64Array } {
  const [rows = 1, inner = 1] = a.shape.slice(-2)
  const columns = b.shape.at(-1) ?? 1
  const batch = count(a.shape.slice(0, -2))
  const isShared = b.shape.length === 2
  const sums = new Float64Array(batch * rows * columns)
  for (let n = 0; n < batch; n++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        let sum = 0
        for (let k = 0; k < inner; k++) {
          const left = (a.data[(n * rows + row) * inner + k] ?? 0) - zeroA
          sum += left * ((b.data[((isShared ? 0 : n) * inner + k) * columns + column] ?? 0) - zeroB)
        }
        sums[(n * rows + row) * columns + column] = sum
      }
  return { shape: [...a.shape.slice(0, -1), columns], sums }
}

const ints = (node: Node, name: string, fallback: readonly number[]): number[] => {
  const value = attributesOf(node)[name]
  return Array.isArray(value) ? (value as readonly bigint[]).map(Number) : [...fallback]
}

function convolution(x: Values, zero: number, w: Values, bias: Values | undefined, node: Node) {
  const kernel = w.shape.slice(2)
  const ones = kernel.map(() => 1)
  const groups = Number(attributesOf(node)['group'] ?? 1n)
  const [strides, dilations] = [ints(node, 'strides', ones), ints(node, 'dilations', ones)]
  const pads = ints(
    node,
    'pads',
    [...ones, ...ones].map(() => 0),
  )
  const input = x.shape.slice(2)
  const output = input.map((size, d) => {
    const reach = ((kernel[d] ?? 1) - 1) * (dilations[d] ?? 1) + 1
    return Math.floor((size + (pads[d] ?? 0) + (pads[d + input.length] ?? 0) - reach) / (strides[d] ?? 1)) + 1
  })
  const [batch = 1, channels = 1] = x.shape
  const [filters = 1, perGroup = 1] = w.shape
  const shape = [batch, filters, ...output]
  const taps = count(kernel)
  const sums = new Float64Array(count(shape))
  for (let i = 0; i < sums.length; i++) {
    const [n = 0, filter = 0, ...place] = coordinates(i, shape)
    const group = Math.floor(filter / (filters / groups))
    let sum = bias?.data[filter] ?? 0
    for (let c = 0; c < perGroup; c++)
      for (let tap = 0; tap < taps; tap++) {
        const from = coordinates(tap, kernel).map(
          (offset, d) => (place[d] ?? 0) * (strides[d] ?? 1) - (pads[d] ?? 0) + offset * (dilations[d] ?? 1),
        )
        if (from.some((at, d) => at < 0 || at >= (input[d] ?? 0))) continue
        const channel = group * perGroup + c
        const value = x.data[(n * channels + channel) * count(input) + flat(from, input)] ?? 0
        sum += (value - zero) * (w.data[(filter * perGroup + c) * taps + tap] ?? 0)
      }
    sums[i] = sum
  }
  return { shape, sums }
}

function pool(x: Values, node: Node, summary: (inside: number[]) => number): Values {
  const kernel = ints(node, 'kernel_shape', [])
  const strides = ints(
    node,
    'strides',
    kernel.map(() => 1),
  )
  const pads = ints(
    node,
    'pads',
    [...kernel, ...kernel].map(() => 0),
  )
  const input = x.shape.slice(2)
  const output = input.map(
    (size, d) =>
      Math.floor((size + (pads[d] ?? 0) + (pads[d + input.length] ?? 0) - (kernel[d] ?? 1)) / (strides[d] ?? 1)) + 1,
  )
  const shape = [...x.shape.slice(0, 2), ...output]
  const data = Float64Array.from({ length: count(shape) }, (_, i) => {
    const [n = 0, c = 0, ...place] = coordinates(i, shape)
    const inside: number[] = []
    for (let tap = 0; tap < count(kernel); tap++) {
      const from = coordinates(tap, kernel).map(
        (offset, d) => (place[d] ?? 0) * (strides[d] ?? 1) - (pads[d] ?? 0) + offset,
      )
      if (from.some((at, d) => at < 0 || at >= (input[d] ?? 0))) continue
      inside.push(x.data[(n * (x.shape[1] ?? 1) + c) * count(input) + flat(from, input)] ?? 0)
    }
    return summary(inside)
  })
  return { ...x, shape, data }
}

function coordinates(index: number, shape: readonly number[]): number[] {
  const place: number[] = []
  let rest = index
  for (const size of shape.toReversed()) {
    place.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return place
}

const flat = (place: readonly number[], shape: readonly number[]): number =>
  place.reduce((sum, x, axis) => sum * (shape[axis] ?? 1) + x, 0)
