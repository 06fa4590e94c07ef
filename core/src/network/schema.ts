import { z } from 'zod'
import type { activation } from './arguments.js'
import { layerSchema } from './layers.js'

/** What a network may have at most; a config from elsewhere must not fill the memory of who reads it. */
export const networkLimits = Object.freeze({
  layers: 1000,
  /** Numbers in all kernels: 400 million are 1.6 GB, and an ONNX file ends at 2 GB. */
  parameters: 400_000_000,
  /** Numbers that one row has between two layers. */
  elements: 2 ** 26,
})

/** A network as it stands in a pipeline, a job, a YAML or JSON file. What is left out gets Keras's default. */
export const networkSchema = z.strictObject({
  input: z.strictObject({
    name: z.string().min(1).max(63),
    shape: z.array(z.int().positive().max(networkLimits.elements)).min(1).max(8),
  }),
  output: z.strictObject({ name: z.string().min(1).max(63) }),
  layers: z.array(layerSchema).min(1).max(networkLimits.layers),
})

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T

/** A layer as a user writes it: plain JSON, with Keras's argument names. */
export type LayerConfig = Frozen<z.input<typeof layerSchema>>

/** A network as a user writes it. `input.shape` is one row's, without the batch: `[784]`, `[28, 28, 1]`. */
export type NetworkConfig = Frozen<z.input<typeof networkSchema>>

export type Activation = Frozen<z.input<typeof activation>>
export type LayerType = LayerConfig['type']

/** A layer with nothing left to guess. */
export type ResolvedLayer<Type extends LayerType = LayerType> = Frozen<
  Extract<z.output<typeof layerSchema>, { type: Type }>
> & { readonly name: string; readonly inputs: readonly string[] }
