import type { NetworkPlan, Tensor } from '@tideway/core'

interface Moments {
  readonly mean: Float64Array
  readonly variance: Float64Array
}

/**
 * Fits a network's normalization layers on the training rows (Keras's `adapt`): mean and variance per feature (the last
 * axis), in float64, of what arrives at the layer. Only rescaling and other normalizations may come before them, so
 * what arrives is the input, scaled.
 */
export function fitNormalizations({ layers }: NetworkPlan, inputs: Tensor): ReadonlyMap<string, Float32Array> {
  const fitted = new Map<string, Float32Array>()
  if (!layers.some(({ layer }) => layer.type === 'normalization')) return fitted
  const arrives = new Map<string, Moments>([['input', momentsOf(inputs)]])
  for (const { layer } of layers) {
    const moments = arrives.get(layer.inputs[0] ?? '')
    if (moments === undefined) continue
    if (layer.type === 'rescaling') {
      const { scale, offset } = layer
      arrives.set(layer.name, {
        mean: moments.mean.map((mean) => mean * scale + offset),
        variance: moments.variance.map((variance) => variance * scale * scale),
      })
    } else if (layer.type === 'normalization') {
      // 1 for a feature that never changes.
      const scale = moments.variance.map((variance) => (variance > 0 ? 1 / Math.sqrt(variance) : 1))
      fitted.set(`${layer.name}/mean`, Float32Array.from(moments.mean))
      fitted.set(`${layer.name}/scale`, Float32Array.from(scale))
      arrives.set(layer.name, {
        mean: moments.mean.map(() => 0),
        variance: moments.variance.map((variance) => (variance > 0 ? 1 : 0)),
      })
    }
  }
  return fitted
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
