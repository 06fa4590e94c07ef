import { errors } from '../errors.js'
import { issuesOf } from '../wire/parse.js'
import { type LayerType, type NetworkConfig, networkLimits, networkSchema, type ResolvedLayer } from './schema.js'
import { count, SHAPES, type Shape, type ShapeRule, show } from './shapes.js'

/** A layer with what it takes and gives. */
export interface PlannedLayer {
  readonly layer: ResolvedLayer
  /** One row's shapes of its inputs, in their order. */
  readonly inputShapes: readonly Shape[]
  /** One row's shape behind it. */
  readonly shape: Shape
  /** Trained numbers in it. */
  readonly parameters: number
}

/** A network with nothing left to guess: every default, name, input and shape. */
export interface NetworkPlan {
  readonly input: { readonly name: string; readonly shape: Shape }
  readonly output: { readonly name: string; readonly shape: Shape }
  /** Each after those that it takes; the last gives the output. */
  readonly layers: readonly PlannedLayer[]
  readonly parameters: number
}

/** What the network's input is called in `inputs` of a layer. */
export const INPUT = 'input'

/**
 * Checks a network and infers the shape behind every layer. Throws `INPUT_REJECTED` naming every bad field (for a shape
 * that does not fit: the layer, what it got, what it needs), and `NETWORK_TOO_LARGE` past `networkLimits`.
 *
 * @example
 * planNetwork(config).layers.map(({ layer, shape, parameters }) => [layer.name, shape, parameters])
 */
export function planNetwork(config: NetworkConfig): NetworkPlan {
  const { plan, issues } = tryPlanNetwork(config)
  if (plan === undefined) throw errors.INPUT_REJECTED({ what: 'the network', issues })
  return plan
}

/** As `planNetwork`, but gives the bad fields back, for who has others to name beside. */
export function tryPlanNetwork(
  config: NetworkConfig,
): { readonly plan: NetworkPlan; readonly issues: readonly [] } | { readonly plan?: never; readonly issues: string[] } {
  const parsed = networkSchema.safeParse(config)
  if (!parsed.success) return { issues: issuesOf(parsed.error) }
  const { input, output, layers } = parsed.data
  const issues: string[] = []
  if (input.name === output.name) issues.push('output.name: the same as input.name')
  refuseLarge('elements', count(input.shape), INPUT)
  const shapes = new Map<string, Shape | undefined>([[INPUT, input.shape]])
  const used = new Set<string>()
  const scaledOnly = new Set([INPUT])
  const planned: PlannedLayer[] = []
  let before = INPUT
  for (const [
    place,
    { name = `${layers[place]?.type}_${place + 1}`, inputs = [before], ...rest },
  ] of layers.entries()) {
    const layer = { ...rest, name, inputs } as ResolvedLayer
    const path = `layers.${place} (${name})`
    if (shapes.has(name)) issues.push(`layers.${place}.name: "${name}" is taken`)
    for (const [at, from] of inputs.entries())
      if (!shapes.has(from)) issues.push(`layers.${place}.inputs.${at}: no layer "${from}" before this one`)
    const inputShapes = inputs.map((from) => shapes.get(from)).filter((shape) => shape !== undefined)
    // What an earlier mistake left without a shape is not blamed on the layers behind it.
    const found = inputShapes.length === inputs.length ? shapeOf(layer, inputShapes) : undefined
    if (typeof found === 'string') issues.push(`${path}: ${found}`)
    const known = typeof found === 'object' ? found : undefined
    if (known !== undefined) planned.push({ layer, inputShapes, ...known })
    if (layer.type === 'normalization' && !scaledOnly.has(inputs[0] ?? ''))
      issues.push(
        `${path}: only rescaling may come before a normalization; behind other layers it has no fixed statistics`,
      )
    if (layer.type === 'columns' && inputs[0] !== INPUT)
      issues.push(`${path}: columns take the raw rows: only the network's input may come before them`)
    if (SCALES.has(layer.type) && scaledOnly.has(inputs[0] ?? '')) scaledOnly.add(name)
    for (const from of inputs) used.add(from)
    shapes.set(name, known?.shape)
    before = name
  }
  for (const [place, name] of [...shapes.keys()].entries())
    if (name !== before && !used.has(name))
      issues.push(`${place === 0 ? 'input' : `layers.${place - 1}`}: "${name}" is not used`)
  if (issues.length > 0) return { issues }
  const parameters = planned.reduce((sum, layer) => sum + layer.parameters, 0)
  refuseLarge('parameters', parameters)
  const shape = planned.at(-1)?.shape ?? []
  return { plan: { input, output: { ...output, shape }, layers: planned, parameters }, issues: [] }
}

function shapeOf(layer: ResolvedLayer, shapes: readonly Shape[]): Pick<PlannedLayer, 'shape' | 'parameters'> | string {
  const got = `got ${shapes.map(show).join(' and ')}`
  if (shapes.length > 1 && !MANY.has(layer.type)) return `${layer.type} takes one input, ${got}`
  const rule = SHAPES[layer.type] as ShapeRule<LayerType>
  const found = rule(layer, shapes[0] ?? [], shapes)
  if (typeof found === 'string') return `${layer.type} ${got}, needs ${found}`
  refuseLarge('elements', count(found.shape), layer.name)
  return { parameters: 0, ...found }
}

const SCALES: ReadonlySet<LayerType> = new Set(['normalization', 'rescaling'])
const MANY: ReadonlySet<LayerType> = new Set([
  'add',
  'subtract',
  'multiply',
  'average',
  'maximum',
  'minimum',
  'concatenate',
  'multiHeadAttention',
])

function refuseLarge(what: 'parameters' | 'elements', found: number, layer?: string): void {
  if (found <= networkLimits[what]) return
  throw errors.NETWORK_TOO_LARGE({ what, count: found, limit: networkLimits[what], layer })
}
