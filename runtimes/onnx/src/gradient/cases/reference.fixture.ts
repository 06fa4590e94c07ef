import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'

/** A sliding operator said plainly, by axis. */
export interface Sliding {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly begin: readonly number[]
  readonly image: readonly number[]
  readonly out: readonly number[]
}

const all = (sizes: readonly number[]): number[][] =>
  sizes.length === 0
    ? [[]]
    : all(sizes.slice(0, -1)).flatMap((head) => Array.from({ length: sizes.at(-1) ?? 0 }, (_, at) => [...head, at]))

/** For every place of the kernel and every output: the flat input that it sees, or as many as there are for none. */
export function seenBy(s: Sliding, transposed: boolean): number[] {
  const none = s.image.reduce((a, b) => a * b, 1)
  return all(s.kernel).flatMap((place) =>
    all(s.out).map((to) => {
      const from = to.map((o, a) => {
        const shift = (place[a] ?? 0) * (s.dilations[a] ?? 1) - (s.begin[a] ?? 0)
        return transposed ? (o - shift) / (s.strides[a] ?? 1) : o * (s.strides[a] ?? 1) + shift
      })
      const inside = from.every((i, a) => Number.isInteger(i) && i >= 0 && i < (s.image[a] ?? 0))
      return inside ? from.reduce((flat, i, a) => flat * (s.image[a] ?? 1) + i, 0) : none
    }),
  )
}

/** [N, C, …] as what each place of the kernel sees: [N, C, places, outputs], 0 where it sees padding. */
export function unfold(g: GraphBuilder, x: Value, s: Sliding, transposed = false): Value {
  const [places, outputs] = [s.kernel, s.out].map((sizes) => sizes.reduce((a, b) => a * b, 1)) as [number, number]
  const count = s.image.reduce((a, b) => a * b, 1)
  const flat = g.op('Reshape', [x, g.constant(int64s([0, Number(x.shape[1]), count]))])
  const more = g.op('Pad', [flat, g.constant(int64s([0, 0, 0, 0, 0, 1]))])
  const index = g.constant({ ...int64s(seenBy(s, transposed)), shape: [places, outputs] })
  return g.op('Gather', [more, index], { axis: 2n })
}

/** Conv, or ConvTranspose with its weights given as [O, C / group, …], in operators that have float64. */
export function convolve(
  g: GraphBuilder,
  [x, w, bias]: readonly Value[],
  s: Sliding,
  group: number,
  transposed = false,
): Value {
  const [filters, each] = [Number(w?.shape[0]), Number(w?.shape[1])]
  const [places, outputs] = [s.kernel, s.out].map((sizes) => sizes.reduce((a, b) => a * b, 1)) as [number, number]
  const columns = g.op('Reshape', [
    unfold(g, x as Value, s, transposed),
    g.constant(int64s([0, group, each * places, outputs])),
  ])
  const rows = g.op('Reshape', [w, g.constant(int64s([group, filters / group, each * places]))])
  const y = g.op('Reshape', [g.op('MatMul', [rows, columns]), g.constant(int64s([0, filters, ...s.out]))])
  if (bias === undefined) return y
  return g.op('Add', [y, g.op('Reshape', [bias, g.constant(int64s([1, -1, ...s.out.map(() => 1)]))])])
}

/** (x - mean) / √(variance + ε) over some axes. */
export function standardise(g: GraphBuilder, x: Value, axes: readonly number[], epsilon = 1e-5): Value {
  const mean = (value: Value): Value => g.op('ReduceMean', [value], { axes: axes.map(BigInt), keepdims: 1n })
  const centred = g.op('Sub', [x, mean(x)])
  const variance = g.op('Add', [mean(g.op('Mul', [centred, centred])), g.constant(floats(x.dtype, [epsilon]))])
  return g.op('Div', [centred, g.op('Sqrt', [variance])])
}
