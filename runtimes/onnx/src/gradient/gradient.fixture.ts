import type { Tensor } from '@tideway/core'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { GraphBuilder } from '../build/graph-builder.js'
import { type Value } from '../build/value.js'
import { writeModel } from '../format/write.js'
import { differentiate } from './differentiate.js'

/** One operator under test: how it is built from its float64 inputs, and where its inputs may lie. */
export interface Case {
  readonly shapes: readonly (readonly number[])[]
  readonly build: (g: GraphBuilder, inputs: readonly Value[]) => Value
  /** Maps a number in [-1, 1] into the operator's domain; away from kinks, where differences mean nothing. */
  readonly domain?: (value: number, input: number) => number
  /** The inputs to differentiate by; all when left out. */
  readonly by?: readonly number[]
  /** Which sizes may be left open until the graph runs; all when left out. */
  readonly open?: (input: number, axis: number) => boolean
  /**
   * The same function of operators that the engine has in float64. Where this is given, `build` is run in float32 and
   * compared with the differences of this.
   */
  readonly reference?: (g: GraphBuilder, inputs: readonly Value[]) => Value
}

export interface Built {
  readonly session: InferenceSession
  readonly by: readonly number[]
  /** Gives the loss that differences are taken of, in float64. */
  readonly reference: InferenceSession
  readonly dtype: 'float32' | 'float64'
}

/** The operator, a loss that weighs its outputs, and the gradients, as a session. Sizes are free when `free`. */
export async function buildCase(item: Case, free: boolean): Promise<Built> {
  const dtype = item.reference === undefined ? 'float64' : 'float32'
  const { g, inputs, loss, y } = weighed(item, item.build, dtype, free)
  const by = item.by ?? inputs.map((_, place) => place)
  const gradients = differentiate(
    g,
    loss,
    by.map((place) => inputs[place] as Value),
  )
  g.output('loss', loss)
  g.output('y', y)
  for (const [at, gradient] of gradients.entries()) g.output(`gradient${by[at]}`, gradient)
  const session = await open(g)
  if (item.reference === undefined) return { session, by, dtype, reference: session }
  const other = weighed(item, item.reference, 'float64', free)
  other.g.output('loss', other.loss)
  other.g.output('y', other.y)
  return { session, by, dtype, reference: await open(other.g) }
}

/** Closes what `buildCase` opened. */
export async function closeCase({ session, reference }: Built): Promise<void> {
  await session.release()
  if (reference !== session) await reference.release()
}

const open = (g: GraphBuilder): Promise<InferenceSession> =>
  InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1, logSeverityLevel: 3 })

function weighed(item: Case, build: Case['build'], dtype: 'float32' | 'float64', free: boolean) {
  const g = new GraphBuilder('case')
  const inputs = item.shapes.map((shape, place) =>
    g.input(
      `x${place}`,
      dtype,
      shape.map((size, axis) => (free && (item.open?.(place, axis) ?? true) ? `x${place}_${axis}` : size)),
    ),
  )
  const y = build(g, inputs)
  const weights = g.input('weights', dtype, y.shape)
  const loss = g.op('ReduceSum', [g.op('Mul', [y, weights])], { keepdims: 0n }, { name: 'loss' })
  return { g, inputs, loss, y }
}

export function makeInputs(item: Case, random: () => number): Float64Array[] {
  return item.shapes.map((shape, place) =>
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
      (item.domain ?? ((v) => v * 2))(random() * 2 - 1, place),
    ),
  )
}

/** Runs a case on its inputs and the weights of its outputs, in the session's type. */
export async function runCase(
  session: InferenceSession,
  dtype: 'float32' | 'float64',
  item: Case,
  inputs: readonly Float64Array[],
  weights: Float64Array,
  shape: readonly number[],
): Promise<Record<string, OrtTensor>> {
  const tensor = (data: Float64Array, dims: readonly number[]): OrtTensor =>
    dtype === 'float64' ? new OrtTensor(dtype, data, dims) : new OrtTensor(dtype, Float32Array.from(data), dims)
  const feeds: Record<string, OrtTensor> = { weights: tensor(weights, shape) }
  for (const [place, data] of inputs.entries()) feeds[`x${place}`] = tensor(data, item.shapes[place] ?? [])
  const needed = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name))
  return (await session.run(Object.fromEntries(needed))) as Record<string, OrtTensor>
}

/** The loss's slope along one element of one input, by central differences. */
export async function slope(
  built: Built,
  item: Case,
  inputs: readonly Float64Array[],
  weights: Float64Array,
  shape: readonly number[],
  input: number,
  element: number,
): Promise<number> {
  const h = 1e-5
  const at = async (offset: number): Promise<number> => {
    const moved = inputs.map((data, place) => (place === input ? data.slice() : data))
    const target = moved[input] as Float64Array
    target[element] = (target[element] ?? 0) + offset
    return Number((await runCase(built.reference, 'float64', item, moved, weights, shape))['loss']?.data[0])
  }
  return ((await at(h)) - (await at(-h))) / (2 * h)
}

/** Runs a graph whose outputs are named, on values given as core tensors. */
export async function evaluate(
  g: GraphBuilder,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, number[]>> {
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const given = Object.entries(feeds).map(
    ([name, { dtype, data, shape }]) => [name, new OrtTensor(dtype as 'float32', data as Float32Array, shape)] as const,
  )
  const out = await session.run(Object.fromEntries(given))
  await session.release()
  return Object.fromEntries(
    Object.entries(out).map(([name, tensor]) => [name, Array.from(tensor.data as Float32Array, Number)]),
  )
}

/** A small seeded generator for tests (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
