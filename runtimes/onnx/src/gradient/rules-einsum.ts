import { type Equation, equationOf } from '../build/equation.js'
import type { BuiltNode } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { type GradientContext, type GradientRule, sameShape } from './context.js'

/**
 * The gradient of an Einsum is an Einsum of the output's gradient and the other operand: what was summed over is an
 * index of the other operand, or of none, and then the gradient is repeated along it.
 */
const einsum: GradientRule = (c) => {
  const equation = equationOf(c.info)
  return equation.inputs.map((_, place) => (c.needs(place) ? byOperand(c, equation, place) : undefined))
}

function byOperand(c: GradientContext, { inputs, output }: Equation, place: number): Value {
  const input = c.in(place)
  const own = inputs[place] as readonly string[]
  const other = inputs[1 - place]
  const given = new Set([...output, ...(other ?? [])])
  const kept = own.filter((index) => given.has(index))
  const missing = own.flatMap((index, axis) => (given.has(index) ? [] : [axis]))
  const product = other === undefined ? alone(c, output, kept) : contract(c, output, other, c.in(1 - place), kept)
  const whole = missing.length === 0 ? product : c.op('Unsqueeze', [product, c.int64s(missing)])
  // Where a size of 1 met another one, either side may have to be repeated, and the other summed.
  return sameShape(whole.shape, input.shape) ? whole : c.unbroadcast(c.op('Expand', [whole, c.shapeOf(input)]), input)
}

/** Without a second operand, indices are put in another order and nothing is summed: none comes twice. */
const alone = (c: GradientContext, output: readonly string[], kept: readonly string[]): Value =>
  c.op('Transpose', [c.dy], { perm: kept.map((index) => BigInt(output.indexOf(index))) })

/**
 * ONNX Runtime's Einsum is as fast as Transpose and MatMul for what attention multiplies (1.30, one thread, batch 16, 4
 * heads, 64 steps: 0.1 to 0.2 ms either way), but not for the gradients of weights, sums over the leading axes of both
 * ("btd,bthe->dhe": 0.32 ms, where one Gemm takes 0.12).
 */
function contract(
  c: GradientContext,
  output: readonly string[],
  other: readonly string[],
  value: Value,
  kept: readonly string[],
): Value {
  const summed = output.filter((index) => !kept.includes(index))
  const leads = (indices: readonly string[]): boolean => summed.every((index, at) => indices[at] === index)
  const alike = sameShape(value.shape.slice(0, summed.length), c.dy.shape.slice(0, summed.length))
  const [left, right] = [other, output].map((indices) => indices.slice(summed.length)) as [string[], string[]]
  if (summed.length > 0 && alike && leads(output) && leads(other) && [...left, ...right].join() === kept.join()) {
    const matrix = (operand: Value): Value => c.op('Flatten', [operand], { axis: BigInt(summed.length) })
    const product = c.op('Gemm', [matrix(value), matrix(c.dy)], { transA: 1n })
    const like = { ...c.y, shape: [...value.shape.slice(summed.length), ...c.dy.shape.slice(summed.length)] }
    if (like.shape.filter((size) => typeof size === 'string').length <= 1) return c.reshape(product, like)
  }
  const letters = lettersOf([...output, ...other])
  const term = (indices: readonly string[]): string => indices.map((index) => letters.get(index)).join('')
  return c.op('Einsum', [c.dy, value], { equation: `${term(output)},${term(other)}->${term(kept)}` })
}

/** Axes of "..." get letters that the equation does not have. */
function lettersOf(indices: readonly string[]): Map<string, string> {
  const free = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
    .split('')
    .filter((letter) => !indices.includes(letter))
  return new Map(
    [...new Set(indices)].map((index) => [index, /\d/u.test(index) ? (free.shift() as string) : index] as const),
  )
}

/** What to write instead of an Einsum that has no gradient here; undefined where it has one. */
export function einsumLimit(node: BuiltNode): string | undefined {
  const { inputs } = equationOf(node)
  if (inputs.length > 2) return 'Einsum of two operands, one after the other'
  if (inputs.some((indices) => new Set(indices).size < indices.length))
    return 'Einsum without an index twice in one term'
  return undefined
}

export const einsumRules: Readonly<Record<string, GradientRule>> = { Einsum: einsum }
