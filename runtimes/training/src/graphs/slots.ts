import type { ResolvedOptimizer } from '@tideway/core'
import { type Clipped, clipGradients, type GraphBuilder, int64s, type Value } from '@tideway/onnx'
import { elements, type Slot } from '../layout.js'

/** A slot's parameters, each in its shape. */
export function unpack(g: GraphBuilder, { members }: Slot, whole: Value): Value[] {
  if (members.length === 1) return [whole]
  const sizes = g.constant(int64s(members.map(({ shape }) => elements(shape))))
  const flat = g.ops('Split', [whole, sizes], { axis: 0n }, { outputs: members.length })
  return members.map(({ shape }, at) => {
    const part = flat[at] as Value
    return shape.length === 1 ? part : g.op('Reshape', [part, g.constant(int64s(shape))])
  })
}

/** The gradients of a slot's parameters, end to end as the parameters are. */
export function pack(g: GraphBuilder, { members }: Slot, gradients: readonly Value[]): Value {
  if (members.length === 1) return gradients[0] as Value
  const flat = gradients.map((value) =>
    value.shape.length === 1 ? value : g.op('Reshape', [value, g.constant(int64s([-1]))]),
  )
  return g.op('Concat', flat, { axis: 0n })
}

/** The slots' gradients, clipped; what is clipped by parameter is unpacked for it. */
export function clipSlots(
  g: GraphBuilder,
  slots: readonly Slot[],
  gradients: readonly Value[],
  clipping: ResolvedOptimizer['clipping'],
  summed: number,
): Clipped {
  if (clipping === undefined) return { gradients }
  if (clipping.by !== 'norm') return clipGradients(g, clipping, gradients, summed)
  return {
    gradients: slots.map((slot, at) =>
      pack(g, slot, clipGradients(g, clipping, unpack(g, slot, gradients[at] as Value), summed).gradients),
    ),
  }
}
