import type { LayerType, ResolvedLayer } from './schema.js'
import { shapesOfCore } from './shapes-core.js'
import { shapesOfImages } from './shapes-image.js'

/** One row's sizes, without the batch. */
export type Shape = readonly number[]

/** What a layer makes of the shapes that it gets. */
export interface ShapeOf {
  readonly shape: Shape
  /** Trained numbers; none when left out. */
  readonly parameters?: number
}

/** A layer's shape rule; a text says what the layer needs. */
export type ShapeRule<Type extends LayerType> = (
  layer: ResolvedLayer<Type>,
  first: Shape,
  all: readonly Shape[],
) => ShapeOf | string

export type ShapeRules<Type extends LayerType> = { readonly [T in Type]: ShapeRule<T> }

/** The shapes that layers give, by type; what a layer type needs is said where it is not met. */
export const SHAPES: ShapeRules<LayerType> = { ...shapesOfCore, ...shapesOfImages }

export const show = (shape: Shape): string => `[${shape.join(', ')}]`
export const count = (shape: Shape): number => shape.reduce((product, size) => product * size, 1)
