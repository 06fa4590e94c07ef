import { layerSchema } from './layers.js'
import { planNetwork } from './resolve.js'
import type { LayerConfig, LayerType, NetworkConfig } from './schema.js'

type Arguments<Type extends LayerType> = Omit<Extract<LayerConfig, { type: Type }>, 'type'>

/** One function per layer type; arguments may be left out where none is required. */
export type Layers = {
  readonly [Type in LayerType]: Record<string, never> extends Arguments<Type>
    ? (options?: Arguments<Type>) => Extract<LayerConfig, { type: Type }>
    : (options: Arguments<Type>) => Extract<LayerConfig, { type: Type }>
}

/**
 * Layers as plain JSON, with their arguments typed.
 *
 * @example
 * layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' })
 * // { type: 'conv2d', filters: 16, kernelSize: 3, activation: 'relu' }
 */
export const layers = Object.freeze(
  Object.fromEntries(
    layerSchema.options.map((option) => {
      const [type] = option.shape.type.values
      return [type, (options: object = {}) => ({ type, ...options })]
    }),
  ),
) as unknown as Layers

/** The layer types that a config may have. */
export const layerTypes = Object.freeze(Object.keys(layers)) as readonly LayerType[]

/**
 * Gives a network its types and checks it at once: names, inputs, shapes and size. Throws `INPUT_REJECTED` naming every
 * bad field, `NETWORK_TOO_LARGE` past `networkLimits`.
 *
 * @example
 * defineNetwork({
 *   input: { name: 'image', shape: [28, 28, 1] },
 *   output: { name: 'probabilities' },
 *   layers: [
 *     layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }),
 *     layers.maxPooling2d(),
 *     layers.flatten(),
 *     layers.dense({ units: 10, activation: 'softmax' }),
 *   ],
 * })
 */
export function defineNetwork(config: NetworkConfig): NetworkConfig {
  planNetwork(config)
  return config
}
