import { quote } from '../format/issues.js'

type Config = Readonly<Record<string, unknown>>

/** A call of a layer: it needs as many calls of each of those before it. */
interface Call {
  readonly layer: string
  readonly needs: readonly { readonly layer: string; readonly calls: number }[]
}

const isObject = (value: unknown): value is Config =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** As Python writes a key and as TypeScript does; TensorFlow.js takes both. */
const either = (config: Config, python: string, typescript: string): unknown => config[python] ?? config[typescript]

/**
 * Calls of layers in a Layers model's topology that never come about, as they wait for one another or for a layer that is
 * not there: TensorFlow.js 4.22 tries them again for ever, and the process does nothing else.
 */
export function topologyIssues(topology: unknown): string[] {
  const issues: string[] = []
  const configs: unknown[] = [topology]
  for (let config = configs.pop(); config !== undefined; config = configs.pop()) {
    const inner: unknown[] = Array.isArray(config) ? config : isObject(config) ? Object.values(config) : []
    // Not spread: there may be more than a call takes.
    for (const value of inner) if (typeof value === 'object' && value !== null) configs.push(value)
    if (isObject(config) && Array.isArray(config['layers'])) issues.push(...graphIssues(config['layers']))
  }
  return issues
}

function graphIssues(entries: readonly unknown[]): string[] {
  const layers = entries
    .filter(isObject)
    .filter((entry) => Array.isArray(either(entry, 'inbound_nodes', 'inboundNodes')))
  if (layers.length === 0) return []
  const issues: string[] = []
  const done = new Map<string, number>()
  const ids = new Set<unknown>()
  for (const entry of layers) {
    const name = String(entry['name'])
    const id = (isObject(entry['config']) ? entry['config']['name'] : undefined) ?? name
    if (done.has(name) || ids.has(id)) issues.push(`layer ${quote(name)}: is there twice`)
    ids.add(id)
    done.set(name, startsCalled(entry) ? 1 : 0)
  }
  const calls = layers.flatMap(callsOf)
  for (const { layer, needs } of stuck(calls, done)) {
    const missing = needs.find((need) => (done.get(need.layer) ?? 0) < need.calls)
    const is = done.has(missing?.layer ?? '') ? 'is never called so often' : 'is not there'
    issues.push(`layer ${quote(layer)}: takes the output of ${quote(missing?.layer)}, which ${is}`)
  }
  return issues
}

function callsOf(entry: Config): Call[] {
  const nodes = either(entry, 'inbound_nodes', 'inboundNodes') as readonly unknown[]
  // What is no list is an error of TensorFlow.js's own.
  return nodes
    .filter((node): node is unknown[] => Array.isArray(node))
    .map((node) => ({
      layer: String(entry['name']),
      needs: node.map((input: unknown) => {
        const [layer, at] = Array.isArray(input) ? (input as unknown[]) : []
        return { layer: String(layer), calls: Number.isSafeInteger(at) ? Number(at) + 1 : Number.POSITIVE_INFINITY }
      }),
    }))
}

/** Inputs have an output before any call, and so have models that know their input. */
function startsCalled({ class_name, className = class_name, config }: Config): boolean {
  if (className !== 'Sequential') return ['InputLayer', 'Model', 'Functional'].includes(String(className))
  const layers = isObject(config) ? config['layers'] : config
  const first: unknown = Array.isArray(layers) ? layers[0] : undefined
  if (!isObject(first)) return false
  const own = first['config']
  return startsCalled(first) || (isObject(own) && either(own, 'batch_input_shape', 'batchInputShape') !== undefined)
}

/** Calls that cannot be made; `done` counts those of each layer that can. */
function stuck(calls: readonly Call[], done: Map<string, number>): Call[] {
  const left = new Set(calls)
  const waiting = new Map<string, Call[]>()
  for (const call of calls)
    for (const { layer } of call.needs) {
      const list = waiting.get(layer)
      if (list === undefined) waiting.set(layer, [call])
      else list.push(call)
    }
  const queue = [...calls]
  for (let call = queue.pop(); call !== undefined; call = queue.pop()) {
    if (!left.has(call) || call.needs.some(({ layer, calls: needed }) => (done.get(layer) ?? 0) < needed)) continue
    left.delete(call)
    done.set(call.layer, (done.get(call.layer) ?? 0) + 1)
    for (const next of waiting.get(call.layer) ?? []) queue.push(next)
  }
  return [...left]
}
