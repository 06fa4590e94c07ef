import { BLOCKED, fromBlocks, fromChannelsLast, isBlocked, toChannelsLast } from './blocked.js'
import type { Lowering } from './lower.js'
import type { Value } from './value.js'
import { windowOf } from './window.js'

/** MaxPool on an image that lies in blocks of channels already. Its indices, where they are asked for, are the plain one's. */
export const lowerMaxPool: Lowering = (g, node, name) => {
  const x = g.inBlocks.get(node.in(0).name)
  const kernel = node.ints('kernel_shape')
  if (x === undefined || kernel?.length !== 2 || node.int('ceil_mode', 0) === 1) return undefined
  const { strides, dilations, begin, end } = windowOf(node, kernel, x.shape.slice(2))
  if (dilations.some((step) => step !== 1)) return undefined
  const pooled = g.op(BLOCKED.maxPool, [x], {
    auto_pad: 'NOTSET',
    kernel_shape: kernel.map(BigInt),
    strides: strides.map(BigInt),
    dilations: dilations.map(BigInt),
    pads: [...begin, ...end].map(BigInt),
  })
  const y = fromBlocks(g, pooled, name)
  if (node.outputCount === 1) return [y]
  return [y, g.ops('MaxPool', node.inputs, node.attributes, { outputs: 2 })[1] as Value]
}

/** An operator on elements stays in blocks where all that it takes lies in blocks, in one shape. */
export const lowerElements: Lowering = (g, node, name) => {
  const { shape } = node.in(0)
  const inputs = node.inputs.map((value) => value && g.inBlocks.get(value.name))
  const fits = inputs.every((value) => value?.shape.every((size, axis) => size === shape[axis]))
  return fits ? [fromBlocks(g, g.op(node.operator, inputs, node.attributes), name)] : undefined
}

const LAST = '0,2,3,1'
const FIRST = '0,3,1,2'

/** To channels last from an image in blocks without the standard order between; to channels first by way of blocks. */
export const lowerTranspose: Lowering = (g, node, name) => {
  const perm = node.ints('perm')?.join()
  const x = node.in(0)
  const blocked = g.inBlocks.get(x.name)
  if (perm === LAST && blocked !== undefined) return [toChannelsLast(g, blocked, name)]
  const channels = x.shape[3]
  if (perm !== FIRST || typeof channels !== 'number' || x.shape[0] === 0 || !isBlocked(g, x, channels)) return undefined
  return [fromBlocks(g, fromChannelsLast(g, x), name)]
}
