import type { AugmentStep } from '@tideway/core'
import type { Geometry } from '../geometry.js'
import type { PlaceRandom } from '../random.js'
import { type Affine, aboutCentre, type Border, translation, windowed } from './affine.js'

type Step<Type extends AugmentStep['type']> = Extract<AugmentStep, { readonly type: Type }>

/** Steps that say where each pixel comes from. */
export type MoveType = 'shift' | 'rotate' | 'flip' | 'crop' | 'zoom' | 'window' | 'timeShift'

/** Draws a step's map for one row. */
type Move<Type extends MoveType> = (step: Step<Type>, geometry: Geometry, random: PlaceRandom) => Affine

export const MOVES: { readonly [Type in MoveType]: Move<Type> } = {
  shift: ({ x = 0, y = 0 }, { height, width }, random) =>
    translation(random.within(pixels(x, width)), random.within(pixels(y, height))),

  rotate: ({ degrees }, geometry, random) => {
    const angle = (random.within(degrees) * Math.PI) / 180
    return aboutCentre(geometry, Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle))
  },

  // Both draws are made whatever the step says, as for every row: a changed option changes only what it names.
  flip: ({ horizontal = false, vertical = false }, geometry, random) => {
    const [x, y] = [random.uniform() < 0.5, random.uniform() < 0.5]
    return aboutCentre(geometry, horizontal && x ? -1 : 1, 0, 0, vertical && y ? -1 : 1)
  },

  crop: ({ height: high = 0, width: wide = 0, padding }, geometry, random) => {
    const { height, width } = geometry
    if (padding === undefined)
      return windowed(geometry, random.below(width - wide + 1), random.below(height - high + 1), wide, high)
    const reach = 2 * padding + 1
    return translation(random.below(reach) - padding, random.below(reach) - padding)
  },

  zoom: ({ factor }, geometry, random) => {
    const view = 1 + random.within(factor)
    return aboutCentre(geometry, view, 0, 0, view)
  },

  window: ({ length }, geometry, random) => {
    const steps = Math.max(1, Math.round(pixels(length, geometry.height)))
    return windowed(geometry, 0, random.below(geometry.height - steps + 1), 1, steps)
  },

  timeShift: ({ steps }, { height }, random) => {
    const most = Math.round(pixels(steps, height))
    return translation(0, random.below(2 * most + 1) - most)
  },
}

/** Below 1 a share of the side, from 1 up pixels. */
export function pixels(extent: number, side: number): number {
  return extent < 1 ? extent * side : extent
}

/** The border that a step asks for; a window lies inside the row, and what interpolation touches beyond is the edge's. */
export function borderOf(step: Step<MoveType>): Border | undefined {
  if (step.type === 'flip') return undefined
  if (step.type === 'window' || (step.type === 'crop' && step.padding === undefined))
    return { mode: 'nearest', value: 0 }
  const { fillMode: mode = 'constant', fillValue = 0 } = step
  return { mode, value: mode === 'constant' ? fillValue : 0 }
}
