import { interpolated } from '../build/interpolate.js'
import { floats, type Value } from '../build/value.js'
import { one, type Rules } from './rule.js'
import { known } from './windows.js'

/** Resize multiplies each axis by a matrix, so its gradient multiplies by the transposed ones. */
const resize = one((c) => {
  const axes = interpolated(c.info)
  if (axes === undefined) throw c.info.invalid('its gradient needs sizes or scales that are constant')
  const rank = c.dy.shape.length
  return axes.reduce<Value>((value, along, axis) => {
    if (along === undefined) return value
    const weights = c.tensor(floats(c.dy.dtype, [...along.weights()], [along.length, along.from]))
    if (axis === rank - 1) return c.op('MatMul', [value, weights])
    const back = c.op('Transpose', [weights], { perm: [1n, 0n] })
    if (axis === rank - 2) return c.op('MatMul', [back, value])
    // [before, length, after]: the axes after it as one.
    const rest = known(c, value.shape.slice(axis + 1))
    const flat = rest.reduce((a, b) => a * b, 1)
    const before = value.shape.slice(0, axis).map(() => 0)
    const matrix = c.op('Reshape', [value, c.int64s([...before, along.length, flat])])
    return c.op('Reshape', [c.op('MatMul', [back, matrix]), c.int64s([...before, along.from, ...rest])])
  }, c.dy)
})

const depthToSpace = one((c) => {
  const block = c.info.int('blocksize', 1)
  if (c.node.attributes['mode'] !== 'CRD') return c.op('SpaceToDepth', [c.dy], { blocksize: BigInt(block) })
  const [channels, height, width] = known(c, c.in(0).shape.slice(1)) as [number, number, number]
  const split = c.op('Reshape', [c.dy, c.int64s([0, channels / (block * block), height, block, width, block])])
  const back = c.op('Transpose', [split], { perm: [0n, 1n, 3n, 5n, 2n, 4n] })
  return c.op('Reshape', [back, c.int64s([0, channels, height, width])])
})

export const resizeRules: Rules = {
  DepthToSpace: depthToSpace,
  Resize: resize,
  SpaceToDepth: one((c) => c.op('DepthToSpace', [c.dy], { blocksize: BigInt(c.info.int('blocksize', 1)) })),
}
