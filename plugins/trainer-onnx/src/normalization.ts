import type { NetworkConfig, Tensor } from '@tideway/core'
import type { Normalization } from './network.js'

/**
 * Fits a network's normalization layers on the training rows: mean and variance per feature (the last axis), in
 * float64, of what arrives at the layer. They come before trained layers, so what arrives is the input, scaled.
 */
export function fitNormalizations(network: NetworkConfig, inputs: Tensor): Normalization[] {
  const fitted: Normalization[] = []
  let moments: Moments | undefined
  for (const layer of network.layers) {
    if (layer.type === 'dense') break
    if (layer.type === 'normalization' || layer.type === 'rescaling') moments ??= momentsOf(inputs)
    if (moments === undefined) continue
    if (layer.type === 'rescaling') {
      const [scale, offset] = [layer.scale, layer.offset ?? 0]
      moments = {
        mean: moments.mean.map((mean) => mean * scale + offset),
        variance: moments.variance.map((v) => v * scale * scale),
      }
    } else if (layer.type === 'normalization') {
      const scale = moments.variance.map((variance) => (variance > 0 ? 1 / Math.sqrt(variance) : 1))
      fitted.push({ mean: Float32Array.from(moments.mean), scale: Float32Array.from(scale) })
      moments = {
        mean: moments.mean.map(() => 0),
        variance: moments.variance.map((variance) => (variance > 0 ? 1 : 0)),
      }
    }
  }
  return fitted
}

interface Moments {
  readonly mean: Float64Array
  readonly variance: Float64Array
}

/** Welford's running moments: no loss of digits when the mean is large against the spread. */
function momentsOf(inputs: Tensor): Moments {
  const data = inputs.data as Float32Array | Uint8Array
  const features = inputs.shape.at(-1) ?? 1
  const mean = new Float64Array(features)
  const squares = new Float64Array(features)
  const rows = data.length / features
  for (let row = 0; row < rows; row++) {
    for (let feature = 0; feature < features; feature++) {
      const value = data[row * features + feature] as number
      const away = value - (mean[feature] as number)
      mean[feature] = (mean[feature] as number) + away / (row + 1)
      squares[feature] = (squares[feature] as number) + away * (value - (mean[feature] as number))
    }
  }
  return { mean, variance: squares.map((sum) => sum / rows) }
}
