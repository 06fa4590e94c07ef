import type { Tensor } from '@tideway/core'
import {
  differentiate,
  floats,
  GraphBuilder,
  meanSquaredError,
  softmaxCrossEntropy,
  type Value,
  writeModel,
} from '@tideway/onnx'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import type { ForwardContext, Trainable } from '../trainable.js'

export type Weights = Record<string, Float32Array>

/** A small seeded generator (mulberry32). */
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

export function initialWeights(network: Trainable, seed = 1): Weights {
  const random = seeded(seed)
  return Object.fromEntries([
    ...network.parameters.map((spec) => [spec.name, spec.initial(random)] as const),
    ...network.statistics.map((spec) => [spec.name, spec.initial()] as const),
  ])
}

export interface Trained {
  readonly losses: readonly number[]
  readonly weights: Weights
  readonly masks: readonly string[]
}

/** Plain gradient descent on one batch, as many times as there are steps: nothing but the network and its gradients. */
export async function descend(
  network: Trainable,
  rows: Tensor,
  targets: Tensor,
  { steps, rate }: { readonly steps: number; readonly rate: number },
): Promise<Trained> {
  const weights = initialWeights(network)
  const random = seeded(7)
  const g = new GraphBuilder('descent')
  const shapes = new Map([...network.parameters, ...network.statistics].map(({ name, shape }) => [name, shape]))
  const trained = network.parameters.filter(({ trainable }) => trainable).map(({ name }) => name)
  const values = new Map<string, Value>()
  const masks: { name: string; rate: number; shape: readonly number[] }[] = []
  const moving = new Set(network.statistics.map(({ name }) => name))
  for (const name of [...trained, ...moving]) values.set(name, g.input(name, 'float32', shapes.get(name) ?? []))
  const take = (name: string): Value => {
    const known = values.get(name)
    if (known !== undefined) return known
    const data = weights[name] as Float32Array
    const value = g.initializer(name, { dtype: 'float32', shape: shapes.get(name) ?? [], data })
    values.set(name, value)
    return value
  }
  const changed: string[] = []
  const context: ForwardContext = {
    training: true,
    parameter: take,
    statistic: take,
    update(name, next) {
      g.output(`${name}_next`, next)
      changed.push(name)
    },
    mask(name, maskRate, shape) {
      masks.push({ name: `mask/${name}`, rate: maskRate, shape: shape.map(Number) })
      return g.input(`mask/${name}`, 'float32', shape)
    },
    penalty() {
      throw new TypeError('no network of these tests has one')
    },
  }
  const x = g.input('rows', 'float32', rows.shape)
  const forward = network.forward(g, x, context, 'prediction')
  const t = g.input('targets', targets.dtype, targets.shape)
  const loss =
    network.lastActivation === 'softmax'
      ? softmaxCrossEntropy(g, forward.logits, t)
      : meanSquaredError(g, forward.output, t)
  const parameters = trained.map((name) => values.get(name) as Value)
  const gradients = differentiate(g, loss, parameters)
  const step = g.constant(floats('float32', [rate]))
  g.output('loss', loss)
  for (const [at, name] of trained.entries()) {
    const move = g.op('Mul', [gradients[at] as Value, step])
    g.output(`${name}_next`, g.op('Sub', [parameters[at] as Value, move]))
    changed.push(name)
  }
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 2, logSeverityLevel: 3 })
  const tensor = (data: Float32Array, shape: readonly number[]): OrtTensor => new OrtTensor('float32', data, shape)
  const losses: number[] = []
  for (let at = 0; at < steps; at++) {
    const feeds: Record<string, OrtTensor> = {
      rows: tensor(rows.data as Float32Array, rows.shape),
      targets: new OrtTensor(targets.dtype as 'int32', targets.data as Int32Array, targets.shape),
    }
    for (const name of changed) feeds[name] = tensor(weights[name] as Float32Array, shapes.get(name) ?? [])
    for (const mask of masks) {
      const count = mask.shape.reduce((product, size) => product * size, 1)
      const keep = (): number => (random() < mask.rate ? 0 : 1 / (1 - mask.rate))
      feeds[mask.name] = tensor(Float32Array.from({ length: count }, keep), mask.shape)
    }
    const out = await session.run(feeds)
    losses.push(Number(out['loss']?.data[0]))
    for (const name of changed) weights[name] = out[`${name}_next`]?.data as Float32Array
  }
  await session.release()
  return { losses, weights, masks: masks.map(({ name }) => name) }
}

/** Runs a model on tensors; the numbers of its outputs. */
export async function predict(
  onnx: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>> {
  const session = await InferenceSession.create(onnx, { intraOpNumThreads: 2, logSeverityLevel: 3 })
  const given = Object.entries(feeds).map(
    ([name, { dtype, data, shape }]) => [name, new OrtTensor(dtype as 'float32', data as Float32Array, shape)] as const,
  )
  const out = await session.run(Object.fromEntries(given))
  await session.release()
  return Object.fromEntries(
    Object.entries(out).map(([name, { dims, data }]) => [
      name,
      { shape: dims, values: Array.from(data as Float32Array, Number) },
    ]),
  )
}
