import {
  type ChunkStore,
  createProfileBuilder,
  type Envelope,
  type Profile,
  type ProfileSchema,
  type ReportStore,
  type StoredReport,
  sha256Hex,
  suggestProfileSchema,
  TidewayError,
  toJsonBytes,
  writeManifest,
} from '@tideway/core'

/** Uniform numbers from 0 to 1, the same for the same seed on every machine (Mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Four inputs, three classes. */
export const signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [null, 4] }],
  outputs: [{ name: 'p', dtype: 'float32', shape: [null, 3] }],
} as const

export const schema: ProfileSchema = suggestProfileSchema({ signature, task: 'classification' })

/** A profile of made-up rows: correlated inputs, and what a linear classifier says of them. `shift` is the drift. */
export function profileOf(rows: number, random: () => number, shift = 0, minute = 0): Profile {
  const builder = createProfileBuilder(schema)
  const x = new Float32Array(rows * 4)
  const p = new Float32Array(rows * 3)
  for (let row = 0; row < rows; row++) {
    const common = random() + random() + random() - 1.5 + shift
    for (let i = 0; i < 4; i++) x[row * 4 + i] = common * (i + 1) + random() - 0.5
    const scores = [0, 1, 2].map((k) => Math.exp(common * (k - 1) * 2 + random()))
    const total = scores.reduce((sum, score) => sum + score, 0)
    p.set(
      scores.map((score) => score / total),
      row * 3,
    )
  }
  builder.observe(
    { x: { dtype: 'float32', shape: [rows, 4], data: x } },
    { p: { dtype: 'float32', shape: [rows, 3], data: p } },
  )
  return builder.seal(new Date(minute * 60_000), new Date((minute + 1) * 60_000))
}

/** A published version: its digest, and the chunks that hold its manifest and baseline. */
export interface Published {
  readonly manifestDigest: string
  readonly chunks: ReadonlyMap<string, Uint8Array>
}

/** Publishes a version with the given baseline, in several chunks as larger blobs are. */
export function publish(model: string, baseline: Profile | undefined): Published {
  const chunks = new Map<string, Uint8Array>()
  const put = (bytes: Uint8Array) => {
    const sha256 = sha256Hex(bytes)
    chunks.set(sha256, bytes)
    return { sha256, size: bytes.byteLength }
  }
  const blob = (bytes: Uint8Array) => {
    const half = bytes.byteLength >> 1
    return { ...put(bytes), chunks: [put(bytes.subarray(0, half)), put(bytes.subarray(half))] }
  }
  const any = blob(new TextEncoder().encode('not read by monitors'))
  const manifest = writeManifest({
    v: 1,
    model,
    signature: { inputs: signature.inputs.map(mutable), outputs: signature.outputs.map(mutable) },
    variants: [
      {
        id: 'fp32',
        format: 'onnx',
        precision: 'fp32',
        requires: [],
        files: [{ ...any, path: 'model.onnx' }],
        knownAnswers: { ...any, rows: 1, tolerance: 1e-3 },
      },
    ],
    profile: schema,
    ...(baseline && { baseline: blob(toJsonBytes(baseline)) }),
    metrics: {},
    lineage: { dataDigest: any.sha256, configDigest: any.sha256, seed: 1, code: 'test' },
  })
  const { sha256 } = put(manifest)
  return { manifestDigest: sha256, chunks }
}

function mutable<S extends { shape: readonly (number | null)[] }>(spec: S): S & { shape: (number | null)[] } {
  return { ...spec, shape: [...spec.shape] }
}

/** The profile report of a device. */
export function reportOf(
  published: Published,
  from: { fleet?: string; device: string; boot?: string; seq: number },
  body: Profile,
): Envelope {
  return {
    v: 1,
    kind: 'profile',
    fleet: 'plant',
    boot: 'boot-1',
    schema: 1,
    model: 'digits',
    ...from,
    manifestDigest: published.manifestDigest,
    from: body.from,
    to: body.to,
    sentAt: body.to,
    body,
  }
}

/** Chunks and reports in memory, with what monitors call. */
export interface MemoryStores {
  readonly chunks: ChunkStore
  readonly reports: ReportStore
  /** Adds a version's chunks. */
  add(published: Published): void
}

export function createMemoryStores(): MemoryStores {
  const bytes = new Map<string, Uint8Array>()
  const stored: StoredReport[] = []
  const unused = () => Promise.reject(new Error('monitors do not call this'))
  return {
    add({ chunks }) {
      for (const [sha256, chunk] of chunks) bytes.set(sha256, chunk)
    },
    chunks: {
      missing: unused,
      put: unused,
      putBlob: unused,
      blob: unused,
      async get(sha256) {
        const chunk = bytes.get(sha256)
        if (!chunk) throw new TidewayError('CHUNK_NOT_FOUND', `chunk ${sha256} is not there`, { sha256 }, 404)
        return chunk
      },
    },
    reports: {
      async append(envelopes, receivedAt) {
        const key = ({ device, boot, seq }: Envelope) => `${device}/${boot}/${seq}`
        const known = new Set(stored.map(({ envelope }) => key(envelope)))
        const fresh = envelopes.filter((envelope) => !known.has(key(envelope)))
        for (const envelope of fresh) stored.push({ envelope, receivedAt, id: stored.length + 1 })
        return { acks: [], fresh }
      },
      async read({ after = 0, limit = 1000, ...filter }) {
        const keys = ['kind', 'device', 'fleet', 'manifestDigest'] as const
        const fits = ({ envelope }: StoredReport) =>
          keys.every((key) => filter[key] === undefined || filter[key] === envelope[key])
        return stored.filter((report) => report.id > after && fits(report)).slice(0, limit)
      },
      counts: unused,
    },
  }
}
