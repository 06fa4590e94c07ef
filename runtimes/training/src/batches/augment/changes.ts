import type { AugmentStep } from '@tideway/core'
import { type Geometry, strides } from '../geometry.js'
import type { PlaceRandom } from '../random.js'
import { pixels } from './moves.js'

type Step<Type extends AugmentStep['type']> = Extract<AugmentStep, { readonly type: Type }>

/** Steps that change values where they stand. */
export type ChangeType = 'brightness' | 'contrast' | 'noise' | 'cutout' | 'jitter' | 'scale'

/** A row to change in place. */
export interface Row {
  readonly values: Float32Array
  readonly geometry: Geometry
  /** 255 for uint8, else 1. */
  readonly fullScale: number
}

type Change<Type extends ChangeType> = (step: Step<Type>, row: Row, random: PlaceRandom) => void

export const CHANGES: { readonly [Type in ChangeType]: Change<Type> } = {
  brightness: ({ delta }, { values, fullScale }, random) => {
    const more = random.within(delta * fullScale)
    for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) + more
  },

  contrast: ({ factor }, row, random) => {
    const times = 1 + random.within(factor)
    eachChannel(row, (places) => {
      let sum = 0
      for (let n = 0, at = places.first; n < places.count; n++, at += places.step) sum += row.values[at] as number
      const mean = sum / places.count
      for (let n = 0, at = places.first; n < places.count; n++, at += places.step)
        row.values[at] = ((row.values[at] as number) - mean) * times + mean
    })
  },

  noise: ({ stddev }, { values, fullScale }, random) => addNormal(values, stddev * fullScale, random),

  cutout: ({ size, count = 1, fillValue = 0 }, { values, geometry }, random) => {
    const { height, width, channels } = geometry
    const { pixel, channel } = strides(geometry)
    const side = (most: number): number => Math.max(1, Math.min(most, Math.round(pixels(size, most))))
    const [high, wide] = [side(height), side(width)]
    for (let n = 0; n < count; n++) {
      const [left, top] = [random.below(width - wide + 1), random.below(height - high + 1)]
      for (let y = top; y < top + high; y++)
        for (let x = left; x < left + wide; x++)
          for (let c = 0; c < channels; c++) values[(y * width + x) * pixel + c * channel] = fillValue
    }
  },

  jitter: ({ stddev }, { values }, random) => addNormal(values, stddev, random),

  scale: ({ stddev }, row, random) => {
    eachChannel(row, ({ first, count, step }) => {
      const times = 1 + random.normal() * stddev
      for (let n = 0, at = first; n < count; n++, at += step) row.values[at] = (row.values[at] as number) * times
    })
  },
}

function addNormal(values: Float32Array, stddev: number, random: PlaceRandom): void {
  for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) + random.normal() * stddev
}

function eachChannel(
  { geometry }: Row,
  visit: (places: { readonly first: number; readonly count: number; readonly step: number }) => void,
): void {
  const { pixel, channel } = strides(geometry)
  for (let c = 0; c < geometry.channels; c++)
    visit({ first: c * channel, count: geometry.height * geometry.width, step: pixel })
}
