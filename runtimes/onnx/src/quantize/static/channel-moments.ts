import type { Runtime, Signature, Tensors } from '@tideway/core'
import { runRows, using, type Whole, withOutputs } from './rows.js'
import type { Step } from './steps.js'

/** Mean and biased variance of each channel. */
export interface ChannelMoments {
  readonly mean: Float64Array
  readonly variance: Float64Array
}

/** Of the result of some layers, convolutions or products of matrices, over all rows. */
export async function channelMoments(
  model: Whole,
  layers: readonly Step[],
  signature: Signature,
  rows: Tensors,
  runtime: Runtime,
): Promise<ReadonlyMap<Step, ChannelMoments>> {
  if (layers.length === 0) return new Map()
  const running = new Map(layers.map((step) => [step, new Running(step.linear?.outputs ?? 0)]))
  const outputs = layers.map(({ linear }) => linear?.output ?? '')
  await using(runtime, withOutputs(model, outputs), async (session) => {
    for await (const tensors of runRows(session, signature, rows))
      for (const [step, moments] of running) {
        const tensor = tensors[step.linear?.output ?? '']
        if (tensor?.dtype !== 'float32') continue
        const inner =
          step.node.opType === 'Conv' ? tensor.shape.slice(2).reduce((product, size) => product * size, 1) : 1
        moments.see(tensor.data, inner)
      }
  })
  return new Map([...running].map(([step, moments]) => [step, moments.value]))
}

/** Welford's: no digits are lost where the mean is large against the spread. */
class Running {
  private readonly mean: Float64Array
  private readonly squares: Float64Array
  private readonly counts: Float64Array

  constructor(private readonly channels: number) {
    this.mean = new Float64Array(channels)
    this.squares = new Float64Array(channels)
    this.counts = new Float64Array(channels)
  }

  /** Values of one channel stand `inner` together. */
  see(data: Float32Array, inner: number): void {
    for (const [at, value] of data.entries()) {
      const channel = Math.floor(at / inner) % this.channels
      const count = (this.counts[channel] ?? 0) + 1
      const before = this.mean[channel] ?? 0
      const mean = before + (value - before) / count
      this.counts[channel] = count
      this.mean[channel] = mean
      this.squares[channel] = (this.squares[channel] ?? 0) + (value - before) * (value - mean)
    }
  }

  get value(): ChannelMoments {
    const { mean, counts } = this
    return { mean, variance: this.squares.map((sum, channel) => sum / Math.max(1, counts[channel] ?? 0)) }
  }
}
