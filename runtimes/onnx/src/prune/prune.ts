import { errors } from '../errors.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { writeModel } from '../format/write.js'
import { importModel } from '../import/import.js'
import { quantizedNodes } from '../quantize/graph/refuse.js'
import { rewrite } from './rewrite.js'
import { type Layer, layersOf } from './score.js'
import { walk } from './walk.js'

export interface PruneOptions {
  /** The share of channels that is removed, 0 to 1, of each layer; with importance, of all together. */
  readonly ratio?: number
  /** The most parameters that are to be left; instead of `ratio`. */
  readonly parameters?: number
  /**
   * What a channel is judged by: the mean magnitude of its weights (`l1`, Li et al. 2017, arXiv:1608.08710; default) or
   * their root mean square (`l2`), within its layer; or what the loss would lose to first order without each weight,
   * |w · dL/dw| by the weight's name (Molchanov et al. 2019, arXiv:1906.10771), over all layers.
   */
  readonly by?: 'l1' | 'l2' | { readonly importance: Readonly<Record<string, Float32Array>> }
}

export interface Pruned {
  readonly onnx: Uint8Array
  /** Channels of each layer before and after; layers that share theirs are one. */
  readonly layers: readonly { readonly nodes: readonly string[]; readonly from: number; readonly to: number }[]
  /** Numbers stored, before and after. */
  readonly parameters: { readonly from: number; readonly to: number }
  /** Nodes because of which channels stay. */
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
}

/** Bisections of the share until a number of parameters holds. */
const HALVINGS = 24

/**
 * A smaller model with the same inputs and outputs: whole channels, filters and units are removed, with everything that
 * belongs to them, through sums, concatenation, normalization, depthwise convolutions and flattening. One channel of a
 * layer stays at least. Where removed channels were zero behind their activation, the outputs are the same; else train it
 * further. The same model and options give the same bytes.
 *
 * Throws `PRUNE_OPTIONS_INVALID`, `PRUNE_NOTHING`, `PRUNE_TARGET_UNREACHABLE`, `MODEL_ALREADY_QUANTIZED`, and what
 * `importModel` and `emit` throw.
 *
 * @example
 * const { onnx, layers } = pruneModel(await readFile('model.onnx'), { ratio: 0.5 })
 */
export function pruneModel(bytes: Uint8Array, options: PruneOptions): Pruned {
  const { ratio, parameters, by = 'l1' } = options
  check(options)
  const model = readModel(bytes)
  const nodes = quantizedNodes(graphOf(model))
  if (nodes.length > 0) throw errors.MODEL_ALREADY_QUANTIZED({ nodes })
  const imported = importModel(model)
  const walked = walk(imported)
  const layers = layersOf(walked.channels, by)
  if (layers.length === 0)
    throw errors.PRUNE_NOTHING({ kept: walked.kept.map(({ node, reason }) => `${node}: ${reason}`) })
  const isGlobal = typeof by === 'object'
  const made = (share: number) => {
    const removed = isGlobal ? leastOfAll(layers, share) : leastOfEach(layers, share)
    const { model: smaller, stored } = rewrite(bytes, imported, walked, removed)
    return { removed, smaller, stored }
  }
  const before = made(0).stored
  let best = made(ratio ?? 1)
  if (parameters !== undefined) {
    if (best.stored > parameters) throw errors.PRUNE_TARGET_UNREACHABLE({ parameters, least: best.stored })
    let [low, high] = [0, 1]
    for (let at = 0; at < HALVINGS; at++) {
      const middle = (low + high) / 2
      const tried = made(middle)
      if (tried.stored <= parameters) [best, high] = [tried, middle]
      else low = middle
    }
  }
  return {
    onnx: writeModel(best.smaller),
    layers: layers.map(({ nodes: labels, channels }) => ({
      nodes: labels,
      from: channels.length,
      to: channels.filter(({ root }) => !best.removed.has(root)).length,
    })),
    parameters: { from: before, to: best.stored },
    kept: walked.kept,
  }
}

function check({ ratio, parameters, by }: PruneOptions): void {
  const issues: string[] = []
  if ((ratio === undefined) === (parameters === undefined)) issues.push('give either ratio or parameters')
  if (ratio !== undefined && !(ratio >= 0 && ratio <= 1)) issues.push(`ratio: ${ratio} is not from 0 to 1`)
  if (parameters !== undefined && !(Number.isSafeInteger(parameters) && parameters > 0))
    issues.push(`parameters: ${parameters} is no whole number from 1`)
  for (const [name, values] of Object.entries(typeof by === 'object' ? by.importance : {}))
    if (!values.every((value) => value >= 0)) issues.push(`by.importance: "${name}" has values that are no magnitudes`)
  if (issues.length > 0) throw errors.PRUNE_OPTIONS_INVALID({ issues })
}

/** The least channels of each layer, that share of them; of equal ones the later. */
function leastOfEach(layers: readonly Layer[], share: number): Set<number> {
  return new Set(
    layers.flatMap(({ channels }) => {
      const most = Math.min(channels.length - 1, Math.floor(channels.length * share))
      return ascending(channels)
        .slice(0, most)
        .map(({ root }) => root)
    }),
  )
}

/** The least channels of all layers together. */
function leastOfAll(layers: readonly Layer[], share: number): Set<number> {
  const largest = new Set(layers.flatMap(({ channels }) => ascending(channels).at(-1)?.root ?? []))
  const all = layers.flatMap(({ channels }) => channels)
  const count = Math.floor(all.length * share)
  const free = ascending(all.filter(({ root }) => !largest.has(root)))
  return new Set(free.slice(0, count).map(({ root }) => root))
}

const ascending = (channels: Layer['channels']) => channels.toSorted((a, b) => a.score - b.score || b.root - a.root)
