import { LOSS, type TrainingStep } from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Feeds, only } from '../batch.js'
import type { Carrier } from './carrier.js'
import { zerosFor } from './placement.js'
import { CPU, providerOf, sessionOptions } from './provider.js'

/**
 * What a step may be off from the CPU's: its loss, of its size, and what it changes, of the largest change that it makes.
 * Float32 in another order is off by 1e-6 to 1e-4; a kernel that is wrong (ONNX Runtime 1.30 has such for WebGPU) by 0.1.
 */
const TOLERANCE = 0.02

export interface Trial {
  readonly session: InferenceSession
  readonly model: Uint8Array
  readonly step: Pick<TrainingStep, 'carried'>
  /** What it begins with; of all else it is given waves and zeros. */
  readonly begin: Feeds
  readonly carrier: Carrier
}

/** Takes one step on a provider and on the CPU; returns in words what they do not agree in. Throws what the provider throws. */
export async function tryOut({ session, model, step, begin, carrier }: Trial): Promise<string | undefined> {
  const names = new Set(session.inputNames)
  const fed: Feeds = { ...wavesFor(session), ...only(names, begin) }
  const made = await session.run({ ...fed })
  const there = await carrier.down(made as Feeds)
  const cpu = await InferenceSession.create(model, sessionOptions(providerOf(CPU), 1))
  try {
    const here = (await cpu.run({ ...fed })) as Feeds
    const loss = Number(here[LOSS]?.data[0])
    if (Math.abs(Number(there[LOSS]?.data[0]) - loss) > TOLERANCE * Math.max(1, Math.abs(loss))) return 'the loss'
    const changes = [...step.carried].map(([name, next]) => {
      const [own, other] = [floatsOf(here[next]), floatsOf(there[next])]
      return { name, size: furthest(own, floatsOf(fed[name])), apart: furthest(own, other) }
    })
    const largest = Math.max(...changes.map(({ size }) => size))
    return changes.find(({ apart }) => apart > TOLERANCE * largest)?.name
  } finally {
    await cpu.release()
    for (const tensor of Object.values(made)) tensor.dispose()
  }
}

const floatsOf = (tensor: Tensor | undefined): Float32Array => (tensor?.data ?? new Float32Array(0)) as Float32Array

/** The largest difference of two arrays; what is no number in both is none. */
function furthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, at) => {
    const apart = Math.abs(value - (b[at] ?? 0))
    return Number.isNaN(apart) && !(Number.isNaN(value) && Number.isNaN(b[at]))
      ? Number.POSITIVE_INFINITY
      : Math.max(most, apart || 0)
  }, 0)
}

/** Rows that vary, and zeros for integers, which may be places. */
function wavesFor(session: InferenceSession): Record<string, Tensor> {
  const zeros = zerosFor(session)
  for (const { data, type } of Object.values(zeros))
    if (type === 'float32') (data as Float32Array).forEach((_, at, all) => void (all[at] = Math.sin(at * at * 0.7)))
  return zeros
}
