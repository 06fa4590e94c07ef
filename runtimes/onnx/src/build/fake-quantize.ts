import type { InferRule } from './context.js'
import type { Lowering } from './lower.js'
import { broadcast } from './shapes.js'
import { isFloat } from './value.js'

/** What `FakeQuantize` is called in a graph: the operator is ours, and written in ONNX's own. */
export const FAKE_QUANTIZE = 'tideway.FakeQuantize'

/**
 * (x, scale, low?, high?): x like its input on the grid of multiples of `scale`, between two ends of it. `scale`
 * broadcasts to x, the ends are scalars; 0 is on every grid, as with ONNX's QuantizeLinear and DequantizeLinear.
 */
export const inferFakeQuantize: InferRule = (node) => {
  const [x, scale] = [node.in(0), node.in(1)]
  if (!isFloat(x.dtype) || scale.dtype !== x.dtype) throw node.invalid('its input and scale must be floats of one type')
  if (broadcast(node.operator, x.shape, scale.shape, node.fresh).length !== x.shape.length)
    throw node.invalid('the scale has more axes than the input')
  return node.like()
}

/** Halves are rounded to even, as QuantizeLinear does. The second value is x between the ends, for the gradient. */
export const lowerFakeQuantize: Lowering = (g, node, name) => {
  const [x, scale] = [node.in(0), node.in(1)]
  const [low, high] = [node.inputs[2], node.inputs[3]]
  const inside = low === undefined && high === undefined ? x : g.op('Clip', [x, low, high])
  const steps = g.op('Round', [g.op('Div', [inside, scale])])
  return [g.op('Mul', [steps, scale], {}, { name }), inside]
}
