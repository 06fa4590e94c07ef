import { codeOf, type Runtime, type Session, type Tensors } from '@tideway/core'
import {
  graphOf,
  type LayerReport,
  labelOf,
  type Model,
  makeNode,
  readModel,
  valueInfo,
  viewOf,
  writeModel,
} from '@tideway/onnx'
import { fixedRows, pickRows, rowCount } from './batches.js'

/** Error of one layer; ratios of signal to noise are in decibels, null where nothing moved or it cannot be told. */
export type LayerError = Pick<LayerReport, 'node' | 'operator' | 'outputSnrDb' | 'weightSnrDb' | 'weights'>

/** Rows that layers are compared over, and how many of them in one run. */
const ROWS = 32
const ROWS_AT_ONCE = 8
/** Nodes between a layer and where both files have its result under one name. */
const STEPS = 3

interface Place {
  readonly layer: Omit<LayerError, 'outputSnrDb' | 'weightSnrDb'>
  /** The same value in either file. */
  readonly names: readonly [float: string, small: string]
}

/**
 * How far each layer's result is from the float model's, with everything before it made small too: the results that both
 * files have under one name. Of layers at the graph's own level, with float32 weights of two dimensions or more.
 */
export async function layerErrors(
  float: Uint8Array,
  small: Uint8Array,
  inputs: Tensors,
  runtime: Runtime,
): Promise<readonly LayerError[]> {
  const places = placesOf(readModel(float), readModel(small))
  if (places.length === 0) return []
  const [before, after] = [0, 1].map((side) => places.map(({ names }) => names[side] ?? ''))
  const sessions: Session[] = []
  try {
    for (const probed of [withProbes(float, before ?? []), withProbes(small, after ?? [])])
      sessions.push(await runtime.load(probed))
    const powers = places.map(() => ({ signal: 0, noise: 0 }))
    const size = fixedRows(sessions[0]!.signature) ?? ROWS_AT_ONCE
    const rows = rowCount(inputs)
    for (let from = 0; from < Math.min(ROWS, rows); from += size) {
      const batch = pickRows(
        inputs,
        Array.from({ length: size }, (_, at) => (from + at) % rows),
      )
      const [wanted, made] = [await sessions[0]!.run(batch), await sessions[1]!.run(batch)]
      for (const [at, power] of powers.entries()) {
        const [real, got] = [wanted[probe(at)]?.data as Float32Array, made[probe(at)]?.data as Float32Array]
        for (let i = 0; i < real.length; i += 1) {
          power.signal += real[i]! ** 2
          power.noise += (got[i]! - real[i]!) ** 2
        }
      }
    }
    return places.map(({ layer }, at) => ({ ...layer, outputSnrDb: decibels(powers[at]!), weightSnrDb: null }))
  } catch (error) {
    // An engine that cannot give these values besides runs the model all the same: they are not worth a failure.
    if (codeOf(error) === 'MODEL_INVALID') return []
    throw error
  } finally {
    await Promise.all(sessions.map((session) => session.dispose()))
  }
}

const probe = (at: number): string => `tideway.probe.${at}`

function placesOf(float: Model, small: Model): Place[] {
  const graph = graphOf(float)
  const view = viewOf(graph)
  const there = new Set(graphOf(small).node.flatMap(({ output }) => output))
  const shared = (name: string, steps = 0): Place['names'] | undefined => {
    // What the half-precision form of a value is called.
    const found = [name, `${name}_h`].find((candidate) => there.has(candidate))
    if (found !== undefined) return [name, found]
    const [next, ...others] = view.consumers(name)
    const follows = steps < STEPS && others.length === 0 && next !== undefined && next.output.length === 1
    return follows ? shared(next.output[0]!, steps + 1) : undefined
  }
  return graph.node.flatMap((node): Place[] => {
    const weights = node.input
      .map((name) => view.constant(name))
      .flatMap((tensor) => (tensor?.dtype === 'float32' && tensor.shape.length > 1 ? [tensor.data.length] : []))
    const names = weights.length === 0 ? undefined : shared(node.output[0] ?? '')
    if (names === undefined) return []
    const total = weights.reduce((sum, length) => sum + length, 0)
    return [{ layer: { node: labelOf(node), operator: node.opType ?? '', weights: total }, names }]
  })
}

/** The same model, with these values as float32 outputs beside its own. */
function withProbes(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const model = readModel(bytes)
  const graph = graphOf(model)
  for (const [at, name] of names.entries()) {
    // ONNX's number for float32 in `to`.
    graph.node.push(makeNode('Cast', [name], [probe(at)], { to: 1n }))
    const info = valueInfo({ name: probe(at), dtype: 'float32', shape: [] })
    if (info.type?.value.case === 'tensorType') delete info.type.value.value.shape
    graph.output.push(info)
  }
  return writeModel(model)
}

function decibels({ signal, noise }: { readonly signal: number; readonly noise: number }): number | null {
  if (!(noise > 0 && signal > 0) || !Number.isFinite(noise)) return null
  return Math.round(1000 * Math.log10(signal / noise)) / 100
}
