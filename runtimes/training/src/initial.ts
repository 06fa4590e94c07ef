import { type NetworkJob, type Tensor } from '@tideway/core'
import { trainableOf } from './layers/index.js'
import { STREAM, words } from './random.js'
import type { Trainable } from './trainable.js'

/** What a network's parameters are before training, for a seed. */
export function initialValues(
  { parameters }: Pick<Trainable, 'parameters'>,
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    parameters.map((spec, place) => {
      const next = words(seed, STREAM.initialization, place)
      return [spec.name, spec.initial(() => next() / 2 ** 32)]
    }),
  )
}

/** What its statistics are before training, fitted on the training rows where the network says so. */
export function initialStatistics(network: Trainable, inputs: Tensor): Record<string, Float32Array> {
  const fitted = network.fit?.(inputs)
  return Object.fromEntries(network.statistics.map((spec) => [spec.name, fitted?.get(spec.name) ?? spec.initial()]))
}

/** The weights that a job begins with when it starts from no other: what makes a run reproducible elsewhere. */
export function initialParameters({
  network,
  seed,
}: Pick<NetworkJob, 'network' | 'seed'>): Record<string, Float32Array> {
  return initialValues(trainableOf(network), seed)
}

/** The shape of each of a job's parameters, by name. */
export function parameterShapes({ network }: Pick<NetworkJob, 'network'>): Record<string, readonly number[]> {
  return Object.fromEntries(trainableOf(network).parameters.map(({ name, shape }) => [name, shape]))
}
