import type { InferRule, NodeContext } from './context.js'
import { type Equation, equationOf } from './equation.js'
import { broadcast } from './shapes.js'
import type { Dim } from './value.js'

/** The size of each index, over all operands that have it; "..." stands for none or several axes. */
export function indexSizes(node: NodeContext, equation: Equation): Map<string, Dim> {
  const known = new Map<string, Dim>()
  for (const [place, indices] of equation.inputs.entries()) {
    const { shape } = node.in(place)
    for (const [axis, index] of indices.entries()) {
      const [size, other] = [shape[axis] ?? 1, known.get(index)]
      if (typeof other === 'number' && typeof size === 'number' && other !== size && other !== 1 && size !== 1)
        throw node.invalid(`index ${index} is ${other} and ${size}`)
      known.set(index, other === undefined ? size : (broadcast('Einsum', [other], [size], node.fresh)[0] ?? size))
    }
  }
  return known
}

const einsum: InferRule = (node) => {
  const equation = equationOf(node)
  for (const value of node.inputs.slice(1))
    if (value?.dtype !== node.in(0).dtype) throw node.invalid(`"${value?.name}" is ${value?.dtype}`)
  const known = indexSizes(node, equation)
  return node.like(equation.output.map((index) => known.get(index) ?? 1))
}

export const inferEinsum: Readonly<Record<string, InferRule>> = { Einsum: einsum }
