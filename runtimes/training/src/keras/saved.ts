import type { NamedWeight } from '../layers/index.js'
import type { Hdf5Tensor } from './hdf5.js'
import type { KerasTopology } from './topology.js'
import type { KerasWeight, WeightNames } from './weights.js'

/** The order in which Keras's layers make their variables, which is all that a file says of them. */
const ORDER = [
  'embeddings',
  'depthwise_kernel',
  'pointwise_kernel',
  'kernel',
  'recurrent_kernel',
  'gamma',
  'beta',
  'bias',
  'moving_mean',
  'moving_variance',
  'mean',
  'scale',
] as const

/** Where a layer of a class keeps the variables of the layer inside of it. */
const INNER: Readonly<Record<string, string>> = { LSTM: 'cell/', GRU: 'cell/', TimeDistributed: 'layer/' }
/** The layers inside of an attention, by what their variables' names begin with. */
const BLOCKS: Readonly<Record<string, string>> = {
  query: 'query_dense/',
  key: 'key_dense/',
  value: 'value_dense/',
  attention_output: 'output_dense/',
}
const DIRECTIONS = ['forward', 'backward'] as const

/** `MaxPooling2D` as `max_pooling2d`. */
const snake = (name: string): string =>
  name
    .replace(/(.)(?=[A-Z][a-z])/g, '$1_')
    .replace(/([a-z])(?=[A-Z])/g, '$1_')
    .toLowerCase()

/** The group of each layer by its name: Keras counts the layers of a class, in the order of the model. */
function groupsOf({ layers }: KerasTopology): ReadonlyMap<string, string> {
  const counts = new Map<string, number>()
  return new Map(
    layers.map(({ className, name }) => {
      const group = snake(className)
      const count = counts.get(group) ?? 0
      counts.set(group, count + 1)
      return [name, `layers/${group}${count === 0 ? '' : `_${count}`}`] as const
    }),
  )
}

/**
 * The tensors of model.weights.h5, which numbers layers and their variables, by the names that Keras gives them:
 * `layers/dense_1/vars/0` is `head/kernel`. What is not there is left out.
 */
export function savedWeights(
  topology: KerasTopology,
  wanted: readonly NamedWeight[],
  tensors: readonly Hdf5Tensor[],
  namesOf: (layer: string) => WeightNames,
): KerasWeight[] {
  const groups = groupsOf(topology)
  const classes = new Map(topology.layers.map(({ name, className }) => [name, className]))
  const byPath = new Map(tensors.map((tensor) => [tensor.path, tensor]))
  return wanted.flatMap((spec) => {
    const { layer, inner } = namesOf(spec.layer)
    const group = groups.get(layer) ?? ''
    const [block, part] = partsOf(spec)
    const among = wanted.filter((other) => other.layer === spec.layer && partsOf(other)[0] === block)
    const variable = `vars/${rankOf(part, among)}`
    const places =
      inner === undefined
        ? [[spec.part, `${BLOCKS[block] ?? INNER[classes.get(layer) ?? ''] ?? ''}${variable}`]]
        : DIRECTIONS.map((way) => [`${way}_${inner}/${spec.part}`, `${way}_layer/cell/${variable}`])
    return places.flatMap(([name = '', place = '']) => {
      // Keras 2 has the layers inside of an attention as private ones.
      const tensor = byPath.get(`${group}/${place}`) ?? byPath.get(`${group}/_${place}`)
      if (tensor?.data === undefined) return []
      return [{ name: `${layer}/${name}`.replace(/\/scale$/, '/variance'), shape: tensor.shape, data: tensor.data }]
    })
  })
}

/** `query/kernel` as ['query', 'kernel'], `kernel` as ['', 'kernel']. */
function partsOf({ part }: NamedWeight): readonly [block: string, part: string] {
  const at = part.lastIndexOf('/')
  return [part.slice(0, Math.max(0, at)), part.slice(at + 1)]
}

function rankOf(part: string, among: readonly NamedWeight[]): number {
  const place = (name: string) => (ORDER as readonly string[]).indexOf(name)
  return among.filter((other) => place(partsOf(other)[1]) < place(part)).length
}
