import { fromBlocks, toBlocks } from '../build/blocked.js'
import type { Value } from '../build/value.js'
import type { Window } from '../build/window.js'
import type { GradientContext } from './context.js'
import { castLike, mul } from './rule.js'

/**
 * MaxPool's gradient where image and maxima lie in blocks of channels and the windows tile the image: the places of a
 * window are taken apart, whole blocks at a time, and each takes what the places before it left. Undefined elsewhere.
 */
export function blockedMaxPool(c: GradientContext, { kernel, strides, dilations, begin }: Window): Value | undefined {
  const [x, y] = [c.in(0), c.y].map((value) => c.g.inBlocks.get(value.name))
  const { block } = c.g
  if (x === undefined || y === undefined || block === undefined || kernel.length !== 2) return undefined
  const [batch, channels, ...sizes] = x.shape
  const counts = y.shape.slice(2)
  const tiles = sizes.every(
    (size, axis) => size === Number(counts[axis]) * (kernel[axis] ?? 1) && kernel[axis] === strides[axis],
  )
  if (!tiles || batch === 0 || [...begin, ...dilations.map((step) => step - 1)].some((size) => size !== 0))
    return undefined
  const [height = 1, width = 1] = kernel
  const line = Number(sizes[1]) * block
  const reshape = (value: Value, ...shape: readonly number[]): Value => c.op('Reshape', [value, c.int64s(shape)])
  const columns = reshape(x, -1, height, line)
  const places = split(c, columns, height).flatMap((row) => split(c, reshape(row, -1, width, block), width))
  const largest = reshape(y, -1, 1, block)
  let left = reshape(toBlocks(c.g, c.dy), -1, 1, block)
  const taken = places.map((place, at) => {
    if (at === places.length - 1) return left
    const value = mul(c, left, castLike(c, c.op('Equal', [place, largest]), left))
    left = c.op('Sub', [left, value])
    return value
  })
  const rows = Array.from({ length: height }, (_, row) =>
    reshape(concat(c, taken.slice(row * width, (row + 1) * width)), -1, 1, line),
  )
  return fromBlocks(
    c.g,
    reshape(concat(c, rows), typeof batch === 'number' ? batch : -1, Number(channels), ...sizes.map(Number)),
  )
}

const split = (c: GradientContext, value: Value, pieces: number): readonly Value[] =>
  pieces === 1
    ? [value]
    : c.ops('Split', [value, c.int64s(Array.from({ length: pieces }, () => 1))], { axis: 1n }, pieces)

const concat = (c: GradientContext, values: readonly Value[]): Value =>
  values.length === 1 ? (values[0] as Value) : c.op('Concat', values, { axis: 1n })
