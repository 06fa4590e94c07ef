import { narrow } from '@tideway/core'
import { z } from 'zod'

/** A layer as Keras writes it, with the names of those that it takes. */
export interface KerasLayer {
  readonly className: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** In the order of the call; empty for inputs. */
  readonly inputs: readonly string[]
  /** How often the layer is called. */
  readonly calls: number
}

export interface KerasTopology {
  readonly layers: readonly KerasLayer[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

const config = z.record(z.string(), z.unknown())
const layerSchema = z.object({
  class_name: z.string().max(200),
  name: z.string().optional(),
  config,
  inbound_nodes: z.array(z.unknown()).optional(),
})
const modelSchema = z.object({
  class_name: z.enum(['Sequential', 'Functional', 'Model']),
  // TensorFlow.js once wrote a Sequential's layers as its config.
  config: z.union([z.array(layerSchema).max(5000), z.looseObject({ layers: z.array(layerSchema).max(5000) })]),
})
const fileSchema = z.union([
  z.object({ modelTopology: z.union([z.object({ model_config: modelSchema }), modelSchema]) }),
  z.object({ model_config: modelSchema }),
  modelSchema,
])

const nameOf = (layer: z.output<typeof layerSchema>): string =>
  layer.name ?? (typeof layer.config['name'] === 'string' ? layer.config['name'] : layer.class_name)

/**
 * The layers of a Keras model's JSON: `model.to_json()` and config.json of Keras 2 and 3, model.json of TensorFlow.js.
 * Throws `INPUT_REJECTED` naming every bad field.
 */
export function topologyOf(json: unknown): KerasTopology {
  const file = narrow(fileSchema, json, 'the Keras model')
  const outer = 'modelTopology' in file ? file.modelTopology : file
  const model = 'model_config' in outer ? outer.model_config : outer
  const written = Array.isArray(model.config) ? model.config : model.config.layers
  if (model.class_name === 'Sequential') return sequential(written)
  const ends: Readonly<Record<string, unknown>> = Array.isArray(model.config) ? {} : model.config
  const layers = written.map((layer) => {
    const nodes = layer.inbound_nodes ?? []
    return { ...plain(layer), inputs: historyOf(nodes[0]), calls: nodes.length }
  })
  return { layers, inputs: endsOf(ends['input_layers']), outputs: endsOf(ends['output_layers']) }
}

const plain = (layer: z.output<typeof layerSchema>) => ({
  className: layer.class_name,
  name: nameOf(layer),
  config: layer.config,
})

/** Each layer takes the one before; an input is added where the first layer says its shape. */
function sequential(written: readonly z.output<typeof layerSchema>[]): KerasTopology {
  const layers: KerasLayer[] = []
  for (const layer of written) {
    const shape = layer.config['batch_input_shape'] ?? layer.config['batch_shape']
    if (layers.length === 0 && layer.class_name !== 'InputLayer')
      layers.push({ className: 'InputLayer', name: 'input', config: { batch_shape: shape }, inputs: [], calls: 0 })
    const before = layers.at(-1)
    layers.push({ ...plain(layer), inputs: before === undefined ? [] : [before.name], calls: 1 })
  }
  return { layers, inputs: [layers[0]?.name ?? 'input'], outputs: [layers.at(-1)?.name ?? 'input'] }
}

/**
 * The layers that a call takes: Keras 2 and TensorFlow.js write lists [name, node, tensor, arguments], Keras 3 writes
 * tensors with a `keras_history` of [name, node, tensor].
 */
function historyOf(call: unknown): string[] {
  if (Array.isArray(call)) {
    if (typeof call[0] === 'string' && typeof call[1] === 'number') return [call[0]]
    return call.flatMap(historyOf)
  }
  if (typeof call !== 'object' || call === null) return []
  const fields = call as Readonly<Record<string, unknown>>
  if ('keras_history' in fields) return historyOf(fields['keras_history'])
  return Object.values(fields).flatMap(historyOf)
}

/** [name, node, tensor], or a list of such. */
const endsOf = (value: unknown): string[] => historyOf(value)
