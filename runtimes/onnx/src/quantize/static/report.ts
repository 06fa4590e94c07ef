import type { Tensors } from '@tideway/core'
import type { AffineScale } from '../reference.js'
import type { Plan } from './plan.js'
import type { RangeMethod } from './ranges.js'
import type { FloatTensor } from './rows.js'
import { rawOf, type Setting, type Simulation } from './simulate.js'
import type { Step } from './steps.js'
import type { StoredWeights } from './stored.js'
import { dequantizedWeights, type IntegerWeights } from './weights.js'

/** How far a layer's numbers moved, as plain JSON. Ratios of signal to noise are in decibels; null where nothing moved. */
export interface LayerReport {
  readonly node: string
  readonly operator: string
  /** Of its result, before its activation, with everything before it quantized too. */
  readonly outputSnrDb: number | null
  /** Of its weights alone. */
  readonly weightSnrDb: number | null
  readonly weights: number
  /** Of the tensor that it takes; null where that is float. */
  readonly input: { readonly range: RangeMethod | 'given'; readonly scale: number; readonly zeroPoint: number } | null
}

interface Power {
  signal: number
  noise: number
}

/** Compares every layer's result in the simulation with the float model's. `wanted` gives the runs in the same order. */
export async function reportLayers(
  plan: Plan,
  simulation: Simulation,
  rows: Tensors,
  setting: Setting,
  parts: {
    readonly wanted: ReadonlyMap<string, FloatTensor>
    readonly weights: ReadonlyMap<Step, IntegerWeights>
    readonly methods: ReadonlyMap<string, RangeMethod | 'given'>
  },
): Promise<LayerReport[]> {
  const powers = new Map<string, Power>()
  const places = new Map<string, number>()
  for await (const tensors of simulation.run(rows, setting)) {
    for (const [name, { data: expected }] of parts.wanted) {
      const tensor = tensors[name]
      if (tensor?.dtype !== 'float32') continue
      const begin = places.get(name) ?? 0
      const power = powers.get(name) ?? { signal: 0, noise: 0 }
      const { data } = tensor
      for (let at = 0; at < data.length; at++) {
        const real = expected[begin + at] ?? 0
        power.signal += real * real
        power.noise += ((data[at] ?? 0) - real) ** 2
      }
      powers.set(name, power)
      places.set(name, begin + data.length)
    }
  }
  return plan.steps.flatMap((step): LayerReport[] => {
    const { linear } = step
    const weights = parts.weights.get(step)
    if (linear === undefined || weights === undefined) return []
    const group = plan.groupOf.get(step.inputs[0] ?? '') ?? ''
    const { scale, zeroPoint }: AffineScale = setting.scales.get(group) ?? { scale: 1, zeroPoint: 0 }
    return [
      {
        node: step.label,
        operator: step.node.opType ?? '',
        outputSnrDb: decibels(powers.get(rawOf(step))),
        weightSnrDb: decibels(weightPower(linear.weight.data, dequantizedWeights(linear, weights))),
        weights: linear.weight.data.length,
        input: { range: parts.methods.get(group) ?? 'minmax', scale, zeroPoint },
      },
    ]
  })
}

/** What is known of layers whose weights alone are integers. */
export function reportStored(stored: readonly StoredWeights[]): LayerReport[] {
  return stored.map(({ label, node, real, rounded }) => ({
    node: label,
    operator: node.opType ?? '',
    outputSnrDb: null,
    weightSnrDb: decibels(weightPower(real, rounded)),
    weights: real.length,
    input: null,
  }))
}

function weightPower(real: Float32Array, rounded: Float32Array): Power {
  const power = { signal: 0, noise: 0 }
  for (let at = 0; at < real.length; at++) {
    const value = real[at] ?? 0
    power.signal += value * value
    power.noise += (value - (rounded[at] ?? 0)) ** 2
  }
  return power
}

function decibels(power: Power | undefined): number | null {
  if (power === undefined || power.noise === 0 || power.signal === 0) return null
  return Math.round(100 * 10 * Math.log10(power.signal / power.noise)) / 100
}
