import type { Node } from '../../generated/onnx_pb.js'
import { integerProduct } from './products.js'
import type { DynamicRule } from './rule.js'

/**
 * A product of two activations, as in attention: both become uint8 with a scale for the whole tensor, whatever its rank.
 * uint8 × uint8 cannot saturate (see `PRODUCT_FORMS`); a sum holds 33,025 products or more.
 */
export const attentionRule: DynamicRule = (node, { view, edit, activations, recipe }) => {
  const [a = '', b = ''] = node.input
  if ([a, b].some((name) => view.constant(name) !== undefined)) return ''
  if (!recipe.attention) return 'products of two activations were asked to stay'
  const nodes: Node[] = []
  const [left, right] = [activations.quantize(a, nodes), activations.quantize(b, nodes)]
  nodes.push(...integerProduct(edit, left, right, node.output[0] ?? ''))
  edit.replace(node, nodes)
  return [node]
}
