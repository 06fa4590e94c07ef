import { equationOf } from '../build/equation.js'
import type { Dim } from '../build/value.js'
import type { Emission, Rule } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { Refused } from './values.js'

/** A tensor with an index for each axis. */
interface Term {
  readonly ref: Ref
  readonly indices: readonly string[]
}

/**
 * Operands are multiplied one after the other, as matrices: indices of both that go on are the batch's, those that end are
 * summed over. TensorFlow's own Einsum has no kernel on the wasm backend.
 */
export const einsum: Rule = (e) => {
  const { inputs, output } = equationOf(e.info)
  const twice = inputs.find((indices) => new Set(indices).size < indices.length)
  if (twice !== undefined) throw new Refused(`the diagonal of ${twice.join('')}`)
  const sizes = sizesOf(e, inputs)
  const terms = inputs.map((indices, place): Term => ({ ref: e.first(place), indices }))
  const goesOn = (place: number) => new Set([...output, ...inputs.slice(place + 1).flat()])
  const [first, ...others] = terms.map((term, place) => {
    const elsewhere = new Set([...output, ...inputs.filter((_, other) => other !== place).flat()])
    return summed(e, term, elsewhere)
  })
  const all = others.reduce((whole, next, at) => product(e, whole, next, goesOn(at + 1), sizes), first as Term)
  return turned(e, all, output).ref
}

function sizesOf(e: Emission, inputs: readonly (readonly string[])[]): Map<string, Dim> {
  const sizes = new Map<string, Dim>()
  for (const [place, indices] of inputs.entries())
    for (const [axis, index] of indices.entries()) {
      const [size, known] = [e.in(place).shape[axis] as Dim, sizes.get(index)]
      if (typeof size === 'number' && typeof known === 'number' && size !== known)
        throw new Refused(`sizes ${known} and ${size} of one index`)
      if (typeof known !== 'number') sizes.set(index, size)
    }
  return sizes
}

/** Summed over what is nowhere else. */
function summed(e: Emission, { ref, indices }: Term, elsewhere: ReadonlySet<string>): Term {
  const axes = indices.flatMap((index, axis) => (elsewhere.has(index) ? [] : [axis]))
  if (axes.length === 0) return { ref, indices }
  const sum = e.op('Sum', [ref, e.ints(axes)], { keep_dims: attr.bool(false) })
  return { ref: sum, indices: indices.filter((index) => elsewhere.has(index)) }
}

function turned(e: Emission, { ref, indices }: Term, order: readonly string[]): Term {
  if (order.join() === indices.join()) return { ref, indices }
  const perm = order.map((index) => indices.indexOf(index))
  return { ref: e.transpose(ref, perm), indices: order }
}

function product(e: Emission, a: Term, b: Term, kept: ReadonlySet<string>, sizes: ReadonlyMap<string, Dim>): Term {
  const shared = a.indices.filter((index) => b.indices.includes(index))
  const batch = shared.filter((index) => kept.has(index))
  const ending = shared.filter((index) => !kept.has(index))
  const left = a.indices.filter((index) => !shared.includes(index))
  const right = b.indices.filter((index) => !shared.includes(index))
  const each = (indices: readonly string[]): Dim[] => indices.map((index) => sizes.get(index) ?? 1)
  const flat = (indices: readonly string[]): Dim =>
    each(indices).reduce((all, size) => (typeof all === 'number' && typeof size === 'number' ? all * size : 'any'), 1)
  const matrix = (term: Term, rows: readonly string[], columns: readonly string[]): Ref =>
    e.reshape(turned(e, term, [...batch, ...rows, ...columns]).ref, [...each(batch), flat(rows), flat(columns)])
  const factors = [matrix(a, left, ending), matrix(b, ending, right)]
  const ref = e.op(batch.length === 0 ? 'MatMul' : 'BatchMatMulV2', factors)
  const indices = [...batch, ...left, ...right]
  return { ref: e.reshape(ref, each(indices)), indices }
}
