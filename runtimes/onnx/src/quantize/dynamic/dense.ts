import { MAX_PRODUCTS, PRODUCT_FORMS, quantizeChannels, stored } from '../formats/integers.js'
import { denseOf, replaceDense } from '../graph/dense.js'
import { integerProduct } from './products.js'
import { type DynamicRule, type DynamicWork, tooFew } from './rule.js'

/** A product with a constant matrix. */
export const denseRule: DynamicRule = (node, work) => {
  const layer = denseOf(node, work.view)
  if (typeof layer === 'string') return layer
  const { inner, outer, weight, weightKey, input } = layer
  if (inner > MAX_PRODUCTS) return `a sum of ${inner} products may leave 32 bits (at most ${MAX_PRODUCTS})`
  const few = tooFew([inner, outer], work.recipe)
  if (few !== undefined) return few
  const form = PRODUCT_FORMS[work.recipe.weightBits]
  const { edit, activations } = work
  const [integers, scale] = shared(work, weightKey, () => {
    const channels = quantizeChannels(weight, outer, (i) => i % outer, form.range)
    return [
      edit.constant(`${layer.output}_w`, { ...stored(channels.integers, form), shape: [inner, outer] }),
      edit.constant(`${layer.output}_s`, { dtype: 'float32', shape: [outer], data: channels.scales }),
    ]
  })
  const zeroPoint = form.zeroPoint === 0 ? undefined : zeroOf(work, form.zeroPoint)
  replaceDense(edit, layer, (output) => {
    const nodes: ReturnType<typeof integerProduct> = []
    const x = activations.quantize(input, nodes)
    nodes.push(...integerProduct(edit, x, { integers, scale, zeroPoint }, output))
    return nodes
  })
  return layer.nodes
}

/** Weights that several layers read are stored once. */
function shared({ weights }: DynamicWork, key: string, make: () => [string, string]): readonly [string, string] {
  const known = weights.get(key)
  if (known !== undefined) return known
  const made = make()
  weights.set(key, made)
  return made
}

function zeroOf(work: DynamicWork, zeroPoint: number): string {
  const tensor = { dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) } as const
  const [name] = shared(work, 'zero point', () => [work.edit.constant('zero', tensor), ''])
  return name
}
