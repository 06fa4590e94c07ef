import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Ack,
  type BlobRef,
  errors as core,
  type DesiredState,
  type EdgeLink,
  type Envelope,
  encodeTensors,
  type Manifest,
  parseJson,
  type ReportedState,
  type Runtime,
  type Signature,
  signatureSchema,
  type Tensors,
  writeManifest,
} from '@tideway/core'
import { createNullRuntime, encodeSignature } from '@tideway/runtime-null'
import { onTestFinished } from 'vitest'
import { createEdge, type Edge } from './edge.js'
import type { EdgeOptions } from './options.js'

export const signature: Signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
  outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
}

/** One row, as the model's input. */
export const row = (...values: number[]): Tensors => ({
  x: { dtype: 'float32', shape: [1, values.length], data: Float32Array.from(values) },
})

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Resolves when the check holds; looks after each turn of the event loop's timers. */
export async function until(check: () => boolean, what = 'the condition', withinMs = 60_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!check()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** A folder that is gone after the test. */
export async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-edge-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/**
 * Models are the null runtime's (a signature as JSON) with a `factor`: y = x * factor, so that tests see which version
 * answered.
 */
export function scalingRuntime(): Runtime & { readonly open: Set<object> } {
  const open = new Set<object>()
  return {
    name: 'scaling',
    flags: { formats: ['onnx'], providers: ['cpu'], precisions: ['fp32', 'int8'] },
    open,
    async load(bytes) {
      const schema = signatureSchema
      const { factor } = parseJson(schema, bytes, 'model', bytes.byteLength) as { factor?: unknown }
      const session = await createNullRuntime().load(encodeSignature(signature))
      const key = {}
      open.add(key)
      return {
        signature,
        async run(inputs) {
          const [outputs] = [await session.run(inputs)]
          const { x } = inputs
          if (x?.dtype !== 'float32') return outputs
          return { y: { ...x, data: x.data.map((value) => value * Number(factor)) } }
        },
        async dispose() {
          open.delete(key)
          await session.dispose()
        },
      }
    },
  }
}

export interface PublishOptions {
  readonly factor: number
  readonly model?: string
  /** What the known answers say, where that is not the truth. */
  readonly answeredFactor?: number
  /** Shared by versions: their chunks have the same digests. */
  readonly padding?: number
  readonly precision?: 'fp32' | 'int8'
  readonly extra?: Partial<Manifest>
}

/** The cloud's side in memory: chunks, desired state, reports and their acknowledgements. */
export class MapCloud {
  readonly chunks = new Map<string, Uint8Array>()
  readonly reports = new Map<string, Envelope>()
  reported: ReportedState | undefined
  desired: DesiredState | undefined
  fetched: string[] = []
  maxInFlight = 0
  acknowledges = true
  online = true
  sends = 0
  /** Called before a chunk is given; may wait, or answer other bytes. */
  intercept: (sha256: string, bytes: Uint8Array, signal?: AbortSignal) => Promise<Uint8Array> | Uint8Array = (_, b) => b
  #links = new Set<{ desired?: (d: DesiredState) => void; ack?: (a: Ack) => void; connect: (() => void)[] }>()
  #inFlight = 0

  blob(bytes: Uint8Array, chunkBytes = 16 * 1024): BlobRef {
    const chunks: BlobRef['chunks'] = []
    for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
      const part = bytes.slice(at, at + chunkBytes)
      chunks.push({ sha256: sha256(part), size: part.byteLength })
      this.chunks.set(sha256(part), part)
    }
    return { sha256: sha256(bytes), size: bytes.byteLength, chunks }
  }

  /** Makes a version; answers its manifest's digest. */
  publish({ factor, model = 'm', answeredFactor = factor, padding = 40_000, ...rest }: PublishOptions): string {
    // Random but seeded padding: no two chunks are alike.
    const pad = Array.from({ length: padding / 8 }, (_, i) => sha256(Buffer.from(`${i}`)).slice(0, 8)).join('')
    const file = this.blob(new TextEncoder().encode(JSON.stringify({ ...signature, pad, factor })))
    const rows = { x: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 5) } } as const
    const answers = { y: { ...rows.x, data: rows.x.data.map((value) => value * answeredFactor) } }
    const known = this.blob(encodeTensors({ inputs: rows, outputs: answers }))
    const manifest: Manifest = {
      v: 1,
      model,
      signature: structuredClone(signature) as Manifest['signature'],
      variants: [
        {
          id: rest.precision ?? 'fp32',
          format: 'onnx',
          precision: rest.precision ?? 'fp32',
          requires: [],
          files: [{ ...file, path: 'model.onnx' }],
          knownAnswers: { ...known, rows: 2, tolerance: 1e-3 },
        },
      ],
      profile: {
        v: 1,
        relativeAccuracy: 0.01,
        statistics: [{ kind: 'feature', name: 'x0', input: 'x', index: 0 }],
      },
      metrics: {},
      lineage: { dataDigest: '0'.repeat(64), configDigest: '0'.repeat(64), seed: 1, code: 'test' },
      ...rest.extra,
    }
    const bytes = writeManifest(manifest)
    this.chunks.set(sha256(bytes), bytes)
    return sha256(bytes)
  }

  /** Tells every device that is online. */
  deploy(generation: number, models: DesiredState['models'], expiresAt?: string): void {
    this.desired = { v: 1, generation, models, issuedAt: new Date().toISOString(), ...(expiresAt && { expiresAt }) }
    for (const link of this.#links) if (this.online) link.desired?.(this.desired)
  }

  setOnline(online: boolean): void {
    this.online = online
    for (const link of online ? this.#links : []) {
      for (const handler of link.connect) handler()
      if (this.desired !== undefined) link.desired?.(this.desired)
    }
  }

  /** The highest sequence up to which nothing is missing, as the store would say. */
  contiguous(boot: string): number {
    let seq = 0
    while (this.reports.has(`${boot}/${seq + 1}`)) seq += 1
    return seq
  }

  acknowledge(boot: string): void {
    for (const link of this.#links) link.ack?.({ v: 1, boot, seq: this.contiguous(boot) })
  }

  link(): EdgeLink {
    const own: { desired?: (d: DesiredState) => void; ack?: (a: Ack) => void; connect: (() => void)[] } = {
      connect: [],
    }
    this.#links.add(own)
    const requireOnline = () => {
      if (!this.online) throw core.LINK_UNAVAILABLE({ url: 'map:' })
    }
    return {
      name: 'map',
      watchDesired: async (handler) => {
        own.desired = handler
        if (this.online && this.desired !== undefined) handler(this.desired)
        return async () => {
          delete own.desired
        }
      },
      fetchChunk: async (digest, options) => {
        requireOnline()
        const bytes = this.chunks.get(digest)
        if (bytes === undefined) throw core.CHUNK_NOT_FOUND({ sha256: digest })
        this.fetched.push(digest)
        this.maxInFlight = Math.max(this.maxInFlight, ++this.#inFlight)
        try {
          return await this.intercept(digest, bytes, options?.signal)
        } finally {
          this.#inFlight -= 1
        }
      },
      sendReport: async (envelope) => {
        requireOnline()
        this.sends += 1
        const { sentAt: _, ...kept } = envelope
        const key = `${envelope.boot}/${envelope.seq}`
        if (!this.reports.has(key)) this.reports.set(key, { ...kept, sentAt: envelope.sentAt } as Envelope)
        if (this.acknowledges) own.ack?.({ v: 1, boot: envelope.boot, seq: this.contiguous(envelope.boot) })
      },
      watchAcks: async (handler) => {
        own.ack = handler
        return async () => {
          delete own.ack
        }
      },
      setReported: async (reported) => {
        requireOnline()
        this.reported = reported
      },
      connected: () => this.online,
      onConnect: (handler) => {
        own.connect.push(handler)
      },
      close: async () => {
        this.#links.delete(own)
      },
    }
  }

  kinds(kind: string): Envelope[] {
    return [...this.reports.values()].filter((envelope) => envelope.kind === kind)
  }
}

/** Short times, so that what is tried again later is tried again within the test. */
export const quick = { retryBaseMs: 5, retryMaxMs: 50, ackTimeoutMs: 50, closeTimeoutMs: 200, minChunkTimeoutMs: 2_000 }

/** An edge that is closed after the test. */
export async function startEdge(cloud: MapCloud, dir: string, options: Partial<EdgeOptions> = {}): Promise<Edge> {
  const edge = await createEdge({
    device: 'd1',
    fleet: 'f1',
    dir,
    link: cloud.link(),
    runtime: scalingRuntime(),
    reportEveryMs: 3_600_000,
    limits: quick,
    ...options,
  })
  onTestFinished(() => edge.close())
  return edge
}

/** Resolves when this version is what answers. */
export async function untilActive(edge: Edge, digest: string, model = 'm'): Promise<void> {
  await until(
    () => {
      const status = edge.status().models[model]
      return status?.status === 'active' && status.manifestDigest === digest
    },
    `${digest.slice(0, 8)} to be active`,
  )
}
