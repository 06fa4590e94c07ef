import { join } from 'node:path'
import type { Tensors } from '@tideway/core'
import { createEdge, type Edge } from '@tideway/edge'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { connectEdgeNats } from '@tideway/transport-nats'

/** A process with some of the benchmark's devices: each with its own connection, store and sessions. */
export interface DevicesOrder {
  readonly nats: string
  readonly fleet: string
  readonly dir: string
  readonly ids: readonly string[]
  readonly model: string
  readonly width: number
  readonly everyMs: number
}

export type DevicesWord =
  | { readonly kind: 'active'; readonly id: string; readonly manifestDigest: string; readonly at: number }
  | { readonly kind: 'totals'; readonly inferences: number; readonly failures: number; readonly bytesFetched: number }

const say = (word: DevicesWord) => process.send?.(word)

process.once('message', (order: DevicesOrder) => {
  void main(order)
})

async function main({ nats, fleet, dir, ids, model, width, everyMs }: DevicesOrder): Promise<void> {
  // One thread a session: hundreds of them share this machine.
  const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
  const edges: Edge[] = []
  let inferences = 0
  let failures = 0
  for (const id of ids) {
    const link = connectEdgeNats({ url: nats, fleet, device: id })
    const edge = await createEdge({ device: id, fleet, dir: join(dir, id), link, runtime })
    let said = ''
    edge.onChange((status) => {
      const { manifestDigest, status: phase } = status.models[model] ?? {}
      if (phase !== 'active' || manifestDigest === undefined || manifestDigest === said) return
      said = manifestDigest
      say({ kind: 'active', id, manifestDigest, at: Date.now() })
    })
    edges.push(edge)
  }
  const inputs: Tensors = { image: { dtype: 'float32', shape: [1, width], data: new Float32Array(width).fill(0.5) } }
  setInterval(() => {
    for (const edge of edges) {
      if (edge.status().models[model]?.manifestDigest === undefined) continue
      inferences += 1
      edge.infer(inputs).catch(() => {
        failures += 1
      })
    }
  }, everyMs)
  process.on('message', () => {
    const bytesFetched = edges.reduce((sum, edge) => sum + (edge.status().models[model]?.bytesFetched ?? 0), 0)
    say({ kind: 'totals', inferences, failures, bytesFetched })
  })
  process.on('disconnect', () => process.exit(0))
}
