import { differentiate, GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Trainable } from '../trainable.js'

/** Numbers that look random and are the same each time. */
export function numbers(length: number, seed: number, scale = 1): Float32Array {
  let state = seed * 2_654_435_761 + 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state / 2 ** 31 - 1) * scale
  })
}

/** Uniform numbers in [0, 1), the same each time. */
export function uniform(seed: number): () => number {
  const values = numbers(65_536, seed)
  let at = 0
  return () => ((values[at++ % values.length] as number) + 1) / 2
}

export const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

export interface Run {
  readonly output: Float32Array
  readonly shape: readonly number[]
  /** By the rows, then by each parameter. */
  readonly gradients: ReadonlyMap<string, Float32Array>
  readonly updates: ReadonlyMap<string, Float32Array>
  readonly penalties: ReadonlyMap<string, Float32Array>
}

/** A network's output for rows and, where asked for, the gradients of Σ output · `direction`. */
export async function run(
  network: Trainable,
  weights: ReadonlyMap<string, Float32Array>,
  rows: { readonly batch: number; readonly data: Float32Array },
  options: { readonly direction?: Float32Array; readonly training?: boolean } = {},
): Promise<Run> {
  const g = new GraphBuilder('test')
  const x = g.input('rows', 'float32', [rows.batch, ...network.input.shape])
  const values = new Map<string, Value>()
  const feeds: Record<string, Tensor> = { rows: new Tensor('float32', rows.data, [rows.batch, ...network.input.shape]) }
  for (const { name, shape } of [...network.parameters, ...network.statistics]) {
    values.set(name, g.input(name, 'float32', shape))
    feeds[name] = new Tensor('float32', weights.get(name) ?? new Float32Array(count(shape)), shape)
  }
  const updates = new Map<string, Value>()
  const penalties: Value[] = []
  const take = (name: string) => values.get(name) as Value
  const { output } = network.forward(
    g,
    x,
    {
      training: options.training ?? false,
      parameter: take,
      statistic: take,
      update: (name, next) => void updates.set(name, next),
      mask: (name, rate, shape) => {
        const sizes = shape.map(Number)
        const kept = numbers(count(sizes), 17).map((value) => ((value + 1) / 2 < rate ? 0 : 1 / (1 - rate)))
        feeds[name] = new Tensor('float32', kept, sizes)
        return g.input(name, 'float32', sizes)
      },
      penalty: (value) => void penalties.push(value),
    },
    'output',
  )
  g.output('output', output)
  for (const [name, value] of updates) g.output(`next/${name}`, value)
  for (const [at, penalty] of penalties.entries()) g.output(`penalty/${at}`, penalty)
  const by = ['rows', ...network.parameters.map(({ name }) => name)]
  if (options.direction !== undefined) {
    const direction = g.input('direction', 'float32', [rows.batch, ...network.output.shape])
    feeds['direction'] = new Tensor('float32', options.direction, [rows.batch, ...network.output.shape])
    const loss = g.op('ReduceSum', [g.op('Mul', [output, direction])], { keepdims: 0n })
    const gradients = differentiate(g, loss, [x, ...network.parameters.map(({ name }) => take(name))])
    for (const [place, gradient] of gradients.entries()) g.output(`gradient/${by[place]}`, gradient)
  }
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  try {
    const taken = new Set(session.inputNames)
    const out = await session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => taken.has(name))))
    const named = (prefix: string) =>
      new Map(
        Object.entries(out)
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, tensor]) => [name.slice(prefix.length), tensor.data as Float32Array]),
      )
    const { data, dims } = out['output'] as Tensor
    return {
      output: data as Float32Array,
      shape: dims,
      gradients: named('gradient/'),
      updates: named('next/'),
      penalties: named('penalty/'),
    }
  } finally {
    await session.release()
  }
}

/** The largest difference, in parts of the largest number of both. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let [most, away] = [1e-3, 0]
  for (let at = 0; at < a.length; at++) {
    const [left, right] = [a[at] as number, b[at] as number]
    if (!Number.isFinite(left)) return Number.POSITIVE_INFINITY
    most = Math.max(most, Math.abs(left), Math.abs(right))
    away = Math.max(away, Math.abs(left - right))
  }
  return away / most
}
