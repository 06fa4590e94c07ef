import type * as tf from '@tensorflow/tfjs-core'
import type { Node } from '@tideway/onnx'
import type { Held } from './node.js'

type Rule = (inputs: readonly (readonly number[])[]) => readonly number[] | undefined

/** How sizes are computed from sizes: what exporters write to reshape by a shape. Vectors and scalars only. */
const RULES: Readonly<Record<string, Rule>> = {
  Add: each((a, b) => a + b),
  Cast: ([x]) => x,
  Concat: (all) => all.flat(),
  Div: each((a, b) => Math.trunc(a / b)),
  Gather: ([x = [], at = []]) => at.map((place) => x[place < 0 ? place + x.length : place] as number),
  Identity: ([x]) => x,
  Mul: each((a, b) => a * b),
  Reshape: ([x]) => x,
  Slice: ([x = [], [from = 0] = [], [to = x.length] = [], , [step = 1] = []]) =>
    step === 1 ? x.slice(from, to) : undefined,
  Squeeze: ([x]) => x,
  Sub: each((a, b) => a - b),
  Unsqueeze: ([x]) => x,
}

function each(compute: (a: number, b: number) => number): Rule {
  return ([a = [], b = []]) => {
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined
    const length = Math.max(a.length, b.length)
    return Array.from({ length }, (_, at) =>
      compute(a[a.length === 1 ? 0 : at] as number, b[b.length === 1 ? 0 : at] as number),
    )
  }
}

/** The numbers of a node's output, where they follow from shapes alone; a tensor of more than one axis is data. */
export function hostOf(
  node: Node,
  inputs: readonly (Held | undefined)[],
  output: tf.Tensor,
): readonly number[] | undefined {
  if (node.opType === 'Shape') return inputs[0]?.tensor.shape
  if (node.opType === 'Size') return [inputs[0]?.tensor.size ?? 0]
  const rule = RULES[node.opType ?? '']
  if (rule === undefined || output.dtype !== 'int32' || output.rank > 1) return undefined
  const known = inputs.map((held) => (held !== undefined && held.tensor.rank <= 1 ? held.host : undefined))
  if (known.some((numbers, at) => numbers === undefined && inputs[at] !== undefined)) return undefined
  const numbers = rule(known.map((all) => all ?? []))
  return numbers?.length === output.size ? numbers : undefined
}
