import type { InferRule } from './context.js'
import type { Lowering } from './lower.js'
import { broadcast } from './shapes.js'
import { floats, isFloat } from './value.js'

/** Rounding whose scale is trained; the operator is ours, and written in ONNX's own. */
export const LEARNED_QUANTIZE = 'tideway.LearnedQuantize'

/**
 * (x, scale), attribute `levels`: x rounded to multiples of `scale`, at most `levels` of them either way: symmetric, as
 * weights are. `scale` is positive and broadcasts to x.
 */
export const inferLearnedQuantize: InferRule = (node) => {
  const [x, scale] = [node.in(0), node.in(1)]
  if (!isFloat(x.dtype) || scale.dtype !== x.dtype) throw node.invalid('its input and scale must be floats of one type')
  if (broadcast(node.operator, x.shape, scale.shape, node.fresh).length !== x.shape.length)
    throw node.invalid('the scale has more axes than the input')
  if (node.int('levels', 0) < 1) throw node.invalid('levels must be at least 1')
  return node.like()
}

/** Halves are rounded to even. For the gradient: x in steps, the same within the levels, and rounded. */
export const lowerLearnedQuantize: Lowering = (g, node, name) => {
  const [x, scale] = [node.in(0), node.in(1)]
  const levels = node.int('levels', 0)
  const [low, high] = [-levels, levels].map((value) => g.constant(floats(x.dtype, [value])))
  const steps = g.op('Div', [x, scale])
  const inside = g.op('Clip', [steps, low, high])
  const integers = g.op('Round', [inside])
  return [g.op('Mul', [integers, scale], {}, { name }), steps, inside, integers]
}
