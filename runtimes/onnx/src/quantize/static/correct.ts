import type { Tensor, Tensors } from '@tideway/core'
import type { Plan } from './plan.js'
import { rawOf, type Setting, type Simulation } from './simulate.js'
import type { Step } from './steps.js'

/** A deep model's layers are corrected several at a time: so many runs of the simulation are made at most. */
const MAX_RUNS = 16

/** Whether a layer's bias can take back a shift: a product of more dimensions would need a node for it. */
export const hasBias = ({ linear }: Step): boolean =>
  linear !== undefined && (linear.bias !== undefined || linear.node.opType !== 'MatMul')

/** The mean of each output channel of each layer, before its activation. */
export type ChannelMeans = ReadonlyMap<Step, Float64Array>

/** Adds up channel means over the runs of a session. */
export async function channelMeans(
  plan: Plan,
  runs: AsyncIterable<Tensors> | Iterable<Tensors>,
): Promise<ChannelMeans> {
  const layers = plan.steps.filter((step) => step.linear !== undefined)
  const sums = new Map(layers.map((step) => [step, new Float64Array(step.linear?.outputs ?? 0)]))
  const counts = new Map<Step, number>()
  for await (const tensors of runs) {
    for (const step of layers) {
      const tensor = tensors[rawOf(step)]
      const sum = sums.get(step)
      if (tensor?.dtype !== 'float32' || sum === undefined) continue
      addChannels(tensor, step.node.opType === 'Conv', sum)
      counts.set(step, (counts.get(step) ?? 0) + tensor.data.length / sum.length)
    }
  }
  for (const [step, sum] of sums)
    for (const c of sum.keys()) sum[c] = (sum[c] ?? 0) / Math.max(1, counts.get(step) ?? 0)
  return sums
}

/** Channels are the second dimension of a convolution's result and the last of a product's. */
function addChannels(
  { data, shape }: Tensor & { readonly dtype: 'float32' },
  isConv: boolean,
  sums: Float64Array,
): void {
  const channels = sums.length
  const inner = isConv ? shape.slice(2).reduce((product, size) => product * size, 1) : 1
  for (let begin = 0, row = 0; begin < data.length; begin += inner, row++) {
    let sum = 0
    for (let at = begin; at < begin + inner; at++) sum += data[at] ?? 0
    sums[row % channels] = (sums[row % channels] ?? 0) + sum
  }
}

/**
 * Bias correction (Nagel et al. 2019, arXiv:1906.04721, section 4.2, the empirical form): rounding shifts the mean of
 * each channel; the bias takes it back. Layers go in order, each seeing those before it corrected. A convolution
 * or Gemm without a bias gets one. Returns the new biases.
 */
export async function correctBiases(
  plan: Plan,
  simulation: Simulation,
  rows: Tensors,
  wanted: ChannelMeans,
  setting: Setting,
): Promise<Map<Step, Float32Array>> {
  const layers = plan.steps.filter(hasBias)
  const biases = new Map(setting.biases)
  const size = Math.ceil(layers.length / MAX_RUNS)
  for (let begin = 0; begin < layers.length; begin += size) {
    const seen = await channelMeans(plan, simulation.run(rows, { ...setting, biases }))
    for (const step of layers.slice(begin, begin + size)) {
      const [have, want] = [seen.get(step), wanted.get(step)]
      const bias = biases.get(step) ?? step.linear?.bias ?? new Float32Array(step.linear?.outputs ?? 0)
      biases.set(
        step,
        bias.map((b, c) => b + (want?.[c] ?? 0) - (have?.[c] ?? 0)),
      )
    }
  }
  return biases
}
