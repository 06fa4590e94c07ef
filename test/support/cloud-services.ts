import { EventEmitter, on } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AuditLog,
  type Controller,
  checkInputs,
  type DriftVerdict,
  type JobRecord,
  type JobStore,
  type Jobs,
  type Manifest,
  type Monitor,
  narrow,
  type ReportIntake,
  type Serving,
  type Signature,
  sha256Hex,
  writeManifest,
} from '@tideway/core'
import { openStore, type Store } from '@tideway/store-postgres'
import { z } from 'zod'

/** What the HTTP face stands on: a real store in a temporary folder, and the rest as small as it can be right. */
export interface TestServices extends Omit<Store, 'close'> {
  readonly controller: Controller
  readonly serving: Serving
  readonly jobs: Jobs
  readonly intake: ReportIntake
  readonly monitor: Monitor
  readonly wire: { readonly transport: string; readonly mqttUrl: string }
  close(): Promise<void>
}

export async function openTestServices(): Promise<TestServices> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-http-'))
  const store = await openStore({ dir })
  return {
    ...store,
    controller: { deploy: (order) => deploy(store, order) },
    serving: doubler(store),
    jobs: createTestJobs(store.jobStore, store.auditLog),
    intake: { accept: (envelopes, receivedAt) => store.reportStore.append(envelopes, receivedAt) },
    monitor: {
      observe: () => Promise.resolve(),
      verdicts: (filter) =>
        Promise.resolve([verdict].filter((v) => filter?.fleet === undefined || v.fleet === filter.fleet)),
      onAlert: () => undefined,
    },
    wire: { transport: 'embedded', mqttUrl: 'mqtt://127.0.0.1:1883' },
    async close() {
      await store.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

const verdict: DriftVerdict = {
  model: 'digits',
  manifestDigest: '0'.repeat(64),
  fleet: 'shop',
  rows: 0,
  baselineRows: 1_000,
  looks: 0,
  flagged: false,
  score: 0,
  alarmRate: 0.001,
  statistics: [],
  at: '2026-01-01T00:00:00.000Z',
}

async function deploy(
  { registry, deviceStore, auditLog }: Pick<Store, 'registry' | 'deviceStore' | 'auditLog'>,
  order: Parameters<Controller['deploy']>[0],
) {
  const { version, manifestDigest } = await registry.resolve(order.model, order.version)
  const target = (device?: string) => ({ fleet: order.fleet, device })
  const targets: (string | undefined)[] = order.devices ? [...order.devices] : [undefined]
  const desired = []
  for (const device of targets)
    desired.push(await deviceStore.setDesired(target(device), { [order.model]: { version, manifestDigest } }))
  const { actor, address, requestId } = order
  await auditLog.append({ actor, address, requestId, action: 'desired.set', subject: order.fleet })
  return {
    model: order.model,
    version,
    manifestDigest,
    fleet: order.fleet,
    devices: order.devices,
    desired,
    unaffected: [],
  }
}

/** Any registered model: output `y` is twice the input `x` [?, 2]; `big` and `odd` are what JSON finds hard. */
export const doublerSignature: Signature = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
  outputs: [
    { name: 'y', dtype: 'float32', shape: [null, 2] },
    { name: 'big', dtype: 'int64', shape: [1] },
    { name: 'odd', dtype: 'float32', shape: [2] },
  ],
}

function doubler({ registry }: Pick<Store, 'registry'>): Serving {
  return {
    async metadata(model, wanted = 'latest') {
      const version = await registry.resolve(model, wanted)
      const versions = (await registry.versions(model)).map((record) => String(record.version))
      return { version, versions, platform: 'doubler', signature: doublerSignature }
    },
    async infer(model, wanted = 'latest', inputs) {
      const version = await registry.resolve(model, wanted)
      checkInputs(doublerSignature, inputs)
      const { shape, data } = inputs.x!
      const y = {
        dtype: 'float32',
        shape,
        data: Float32Array.from(data as Float32Array, (value) => value * 2),
      } as const
      const big = { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 60n + 1n) } as const
      const odd = { dtype: 'float32', shape: [2], data: Float32Array.of(Number.NaN, Infinity) } as const
      return { version, outputs: { y, big, odd } }
    },
  }
}

const changeSchema = z.strictObject({
  status: z.enum(['running', 'finished', 'failed']).optional(),
  progress: z.record(z.string(), z.unknown()).optional(),
})

/** Jobs over the store, without a queue or a trainer. */
export function createTestJobs(store: JobStore, auditLog?: AuditLog): Jobs {
  const changes = new EventEmitter().setMaxListeners(0)
  let count = 0
  const ended = ({ status }: JobRecord) => status === 'finished' || status === 'failed'
  return {
    async submit(spec, origin) {
      const { model } = narrow(z.looseObject({ model: z.string() }), spec, 'job')
      const job = await store.create({ id: `job-${++count}`, model, spec: spec as Record<string, unknown> })
      await auditLog?.append({ ...origin, action: 'job.submit', subject: job.id })
      return job
    },
    async update(id, change) {
      const job = await store.update(id, narrow(changeSchema, change, 'job change'))
      changes.emit(id, job)
      return job
    },
    job: (id) => store.job(id),
    jobs: (limit) => store.jobs({ limit }),
    async *watch(id, signal) {
      const events = on(changes, id, { signal }) as AsyncIterable<[JobRecord]>
      const now = await store.job(id)
      yield now
      if (ended(now)) return
      for await (const [job] of events) {
        yield job
        if (ended(job)) return
      }
    },
  }
}

const CHUNK_BYTES = 65_536

/**
 * Puts a small version's chunks and manifest in the store, without registering it; `marker` makes it another one. It is no
 * model unless the bytes of one are given, of at most one chunk.
 */
export async function putTestVersion(
  { chunkStore }: Pick<Store, 'chunkStore'>,
  model: string,
  marker: string,
  file: Uint8Array = new TextEncoder().encode(`model ${marker}`),
): Promise<{ manifest: Manifest; manifestDigest: string; chunk: string }> {
  const chunks = []
  for (let at = 0; at < file.byteLength; at += CHUNK_BYTES) {
    const part = file.subarray(at, at + CHUNK_BYTES)
    chunks.push({ sha256: sha256Hex(part), size: part.byteLength })
    await chunkStore.put(sha256Hex(part), part)
  }
  const chunk = chunks[0]!.sha256
  const ref = { sha256: sha256Hex(file), size: file.byteLength, chunks }
  const manifest: Manifest = {
    v: 1,
    model,
    signature: structuredClone(doublerSignature) as Manifest['signature'],
    variants: [
      {
        id: 'fp32',
        format: 'onnx',
        precision: 'fp32',
        requires: [],
        files: [{ path: 'model.onnx', ...ref }],
        knownAnswers: { ...ref, rows: 1, tolerance: 1e-3 },
      },
    ],
    metrics: { accuracy: 0.95 },
    lineage: { dataDigest: chunk, configDigest: chunk, seed: 1, code: 'test' },
  }
  const bytes = writeManifest(manifest)
  const manifestDigest = sha256Hex(bytes)
  await chunkStore.put(manifestDigest, bytes)
  return { manifest, manifestDigest, chunk }
}
