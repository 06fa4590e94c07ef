import type { InferRule } from './context.js'
import { shapePart } from './shapes-of.js'
import type { Dim, ValueType } from './value.js'

const gather: InferRule = (node) => {
  const { shape } = node.in(0)
  const axis = node.axis(node.int('axis', 0), shape.length)
  return node.like([...shape.slice(0, axis), ...node.in(1).shape, ...shape.slice(axis + 1)])
}

const oneHot: InferRule = (node) => {
  const shape = [...node.in(0).shape]
  const axis = node.int('axis', -1)
  const depth = node.constantInts(1)?.[0] ?? node.fresh()
  shape.splice(axis < 0 ? shape.length + 1 + axis : axis, 0, depth)
  return [{ dtype: node.in(2).dtype, shape }]
}

const gatherND: InferRule = (node) => {
  const [{ shape }, { shape: where }] = [node.in(0), node.in(1)]
  const depth = where.at(-1)
  if (typeof depth !== 'number') throw node.invalid('how many axes the indices go over is not known')
  return node.like([...where.slice(0, -1), ...shape.slice(node.int('batch_dims', 0) + depth)])
}

/** How far from start to limit; the number is known when all three are constants. */
const range: InferRule = (node) => {
  const [start, limit, delta] = [0, 1, 2].map((place) => node.constantInts(place)?.[0])
  const known = start !== undefined && limit !== undefined && delta !== undefined
  const whole = node.in(0).dtype === 'int64' || node.in(0).dtype === 'int32'
  return node.like([known && whole ? Math.max(0, Math.ceil((limit - start) / delta)) : node.fresh()])
}

const constantOfShape: InferRule = (node) => {
  const value = node.attributes['value']
  const dtype = typeof value === 'object' && 'dtype' in value ? value.dtype : 'float32'
  const rank = node.in(0).shape[0]
  const known = node.sizes(0)
  if (known === undefined && typeof rank !== 'number') throw node.invalid('the rank of the shape is not known')
  return [{ dtype, shape: known ?? Array.from({ length: Number(rank) }, () => node.fresh()) }]
}

const int64 = (shape: readonly Dim[]): ValueType[] => [{ dtype: 'int64', shape }]

/** Operators that look elements up, put them in place, or give indices and shapes. */
export const inferIndex: Readonly<Record<string, InferRule>> = {
  ConstantOfShape: constantOfShape,
  Gather: gather,
  GatherElements: (node) => node.like(node.in(1).shape),
  GatherND: gatherND,
  NonZero: (node) => int64([node.in(0).shape.length, node.fresh()]),
  OneHot: oneHot,
  Range: range,
  ScatterElements: (node) => node.like(),
  ScatterND: (node) => node.like(),
  Shape: (node) => int64([shapePart(node).length]),
  Size: () => int64([]),
}
