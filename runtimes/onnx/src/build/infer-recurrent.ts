import { specOf } from '../format/signature.js'
import type { Graph } from '../generated/onnx_pb.js'
import type { InferRule } from './context.js'
import { GATES, recurrentOf } from './recurrent.js'
import { show } from './shapes.js'
import type { Dim, ValueType } from './value.js'

/** Y, the last state, and for an LSTM the last cell; as many as are asked for. */
const recurrent: InferRule = (node) => {
  const [x, w, r] = [node.in(0), node.in(1), node.in(2)]
  const { reverse, hidden, batchFirst } = recurrentOf(node.operator, node)
  const rows = (GATES[node.operator] ?? 1) * hidden
  const directions = reverse.length
  if (!Number.isInteger(hidden)) throw node.invalid('hidden_size is not given')
  if (x.shape.length !== 3) throw node.invalid(`its input is ${show(x.shape)}, not of rank 3`)
  const expected: readonly (readonly [number, string, readonly Dim[]])[] = [
    [1, 'W', [directions, rows, x.shape[2] ?? 1]],
    [2, 'R', [directions, rows, hidden]],
    [3, 'B', [directions, 2 * rows]],
  ]
  for (const [place, name, shape] of expected) {
    const given = node.inputs[place]
    if (given !== undefined && !fits(given.shape, shape))
      throw node.invalid(`${name} is ${show(given.shape)}, not ${show(shape)}`)
  }
  for (const value of [w, r, node.inputs[3], node.inputs[5], node.inputs[6]])
    if (value !== undefined && value.dtype !== x.dtype)
      throw node.invalid(`"${value.name}" is ${value.dtype}, "${x.name}" is ${x.dtype}`)
  const [first, second] = [x.shape[0] ?? 1, x.shape[1] ?? 1]
  const all = batchFirst ? [first, second, directions, hidden] : [first, directions, second, hidden]
  const last = batchFirst ? [first, directions, hidden] : [directions, second, hidden]
  return [...node.like(all), ...node.like(last), ...node.like(last)].slice(0, Math.max(1, node.outputCount))
}

const fits = (shape: readonly Dim[], expected: readonly Dim[]): boolean =>
  shape.length === expected.length &&
  shape.every((size, axis) => typeof size === 'string' || typeof expected[axis] === 'string' || size === expected[axis])

/** The states keep their types; what each step gives is stacked. */
const scan: InferRule = (node) => {
  const body = node.attributes['body']
  if (typeof body !== 'object' || !('$typeName' in body)) throw node.invalid('it has no body')
  const states = node.inputs.length - node.int('num_scan_inputs', 0)
  const steps = node.in(states).shape[0] ?? 1
  return (body as Graph).output.map((info, place): ValueType => {
    if (place < states) return node.like(node.in(place).shape, node.in(place).dtype)[0] as ValueType
    const { dtype, shape } = specOf(info)
    return { dtype, shape: [steps, ...shape.map((size) => size ?? node.fresh())] }
  })
}

/** Operators that go along a sequence. */
export const inferRecurrent: Readonly<Record<string, InferRule>> = {
  GRU: recurrent,
  LSTM: recurrent,
  RNN: recurrent,
  Scan: scan,
}
