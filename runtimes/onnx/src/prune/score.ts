import type { Channels, Maker } from './channels.js'
import type { PruneOptions } from './prune.js'

/** Channels that are made by the same nodes, and compared with each other. */
export interface Layer {
  readonly nodes: readonly string[]
  readonly channels: readonly { readonly root: number; readonly score: number }[]
}

interface Sum {
  score: number
  count: number
  readonly makers: Set<string>
}

/** The channels that may be removed, by the nodes that make them, each with its score. */
export function layersOf(channels: Channels, by: NonNullable<PruneOptions['by']>): Layer[] {
  const sums = new Map<number, Sum>()
  for (const maker of channels.makers) {
    const values = weighed(maker, by)
    const { shape } = maker.tensor
    const inner = shape.slice(maker.axis + 1).reduce((product, size) => product * size, 1)
    const size = maker.ids.length
    for (let at = 0; at < values.length; at++) {
      const id = maker.ids[Math.floor(at / inner) % size] ?? 0
      const root = channels.rootOf(id)
      const sum = sums.get(root) ?? { score: 0, count: 0, makers: new Set<string>() }
      // A normalization behind it makes a channel larger or smaller; its gradient knows that already.
      const factor = typeof by === 'object' ? 1 : by === 'l1' ? channels.factorOf(id) : channels.factorOf(id) ** 2
      sum.score += (values[at] ?? 0) * factor
      sum.count++
      sum.makers.add(maker.label)
      sums.set(root, sum)
    }
  }
  const layers = new Map<string, { nodes: string[]; channels: { root: number; score: number }[] }>()
  for (const [root, { score, count, makers }] of sums) {
    if (channels.isLocked(root)) continue
    const key = JSON.stringify([...makers].sort())
    const layer = layers.get(key) ?? { nodes: [...makers], channels: [] }
    // Importance is a sum: what the loss loses with all of a channel's weights.
    layer.channels.push({ root, score: typeof by === 'object' ? score : score / count })
    layers.set(key, layer)
  }
  return [...layers.values()].filter((layer) => layer.channels.length > 1)
}

function weighed({ tensor, name }: Maker, by: NonNullable<PruneOptions['by']>): ArrayLike<number> {
  const data = tensor.data as Float32Array
  if (typeof by === 'object') return by.importance[name] ?? new Float32Array(data.length)
  return by === 'l1' ? data.map(Math.abs) : data.map((value) => value * value)
}
