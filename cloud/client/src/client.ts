import type {
  Ack,
  AliasRecord,
  AuditEntry,
  Deployment,
  DesiredState,
  DeviceRecord,
  DriftVerdict,
  Envelope,
  InferAnswer,
  JobRecord,
  KeyOrder,
  KeyRecord,
  Manifest,
  MetricPoint,
  ModelMetadata,
  ModelRecord,
  ReportedState,
  RunRecord,
  RunStatus,
  Tensors,
  VersionRecord,
  WireInfo,
} from '@tideway/core'
import { type Blobs, createBlobs } from './blobs.js'
import { watchJob } from './events.js'
import { type ClientOptions, createHttp, path } from './http.js'
import { type InferOptions, infer, metadata } from './infer.js'
import { type PredictOptions, predict } from './predict.js'
import { createTrafficClient, type TrafficClient } from './traffic.js'

export interface ModelDetails {
  readonly model: ModelRecord
  /** Oldest first. */
  readonly versions: readonly VersionRecord[]
  readonly aliases: readonly AliasRecord[]
}

export interface JobChange {
  /** `queued`: handed back by a node that stops. */
  readonly status?: 'queued' | 'running' | 'finished' | 'failed'
  readonly checkpoint?: JobRecord['checkpoint']
  readonly progress?: JobRecord['progress']
  readonly result?: JobRecord['result']
  readonly error?: JobRecord['error']
  readonly worker?: string
}

interface Fields {
  readonly params?: Readonly<Record<string, string>>
  readonly tags?: Readonly<Record<string, string>>
}

/**
 * The cloud over HTTP, from Node and from browsers. What the cloud refuses is thrown here as it was there (same code,
 * message and data); what does not answer is `CLOUD_UNREACHABLE`.
 */
export interface Client extends Blobs, TrafficClient {
  readonly url: string
  /** Does the process run, and does its store answer? */
  ready(): Promise<{ ready: boolean; version: string }>
  live(): Promise<boolean>
  /** Where devices and trainer nodes connect. */
  wire(): Promise<WireInfo>

  models(): Promise<ModelRecord[]>
  /** Throws `MODEL_NOT_FOUND`. */
  model(name: string): Promise<ModelDetails>
  /** By number or alias. Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  version(model: string, version: string | number): Promise<{ version: VersionRecord; manifest: Manifest }>
  /** Manifest and chunks must have been put before. Throws `CHUNK_NOT_FOUND`, `MANIFEST_MODEL_MISMATCH`. */
  registerVersion(
    model: string,
    entry: { manifestDigest: string; runId?: string; aliases?: readonly string[] },
  ): Promise<{ version: VersionRecord; created: boolean }>
  setAlias(model: string, alias: string, version: number): Promise<AliasRecord>
  aliasHistory(model: string, alias: string): Promise<AliasRecord[]>

  devices(filter?: { fleet?: string }): Promise<DeviceRecord[]>
  /** Throws `DEVICE_NOT_FOUND`. */
  device(id: string): Promise<DeviceRecord>
  /** Throws `DESIRED_NOT_SET`; with a fleet the device is registered as seen. */
  desired(device: string, fleet?: string): Promise<DesiredState>
  sendReports(
    device: string,
    reports: readonly Envelope[],
  ): Promise<readonly { fleet: string; device: string; ack: Ack }[]>
  setReported(reported: ReportedState): Promise<void>
  reportCounts(filter?: { device?: string; fleet?: string; digest?: string }): Promise<Readonly<Record<string, number>>>

  /** Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `CHUNK_NOT_FOUND`, `CHUNK_STREAM_FULL`. */
  deploy(order: {
    model: string
    version: string | number
    fleet: string
    devices?: readonly string[]
  }): Promise<Deployment>
  drift(filter?: { model?: string; fleet?: string; device?: string; digest?: string }): Promise<DriftVerdict[]>
  /** Newest first; the next page is what comes before the last id. */
  audit(filter?: {
    subject?: string
    action?: string
    actor?: string
    before?: number
    limit?: number
  }): Promise<AuditEntry[]>

  /** `key` is shown this once. Throws `INPUT_REJECTED`, `ROLE_REQUIRED`. */
  createKey(order: KeyOrder): Promise<{ key: string; record: KeyRecord }>
  /** Newest first, with those that were revoked. */
  keys(): Promise<KeyRecord[]>
  /** Throws `KEY_NOT_FOUND`. */
  revokeKey(id: string): Promise<KeyRecord>

  /** Throws `INPUT_REJECTED` naming every bad field, `BLOB_NOT_FOUND` for missing data. */
  submitJob(spec: object): Promise<JobRecord>
  jobs(limit?: number): Promise<JobRecord[]>
  /** Throws `JOB_NOT_FOUND`. */
  job(id: string): Promise<JobRecord>
  updateJob(id: string, change: JobChange): Promise<JobRecord>
  /** The record now and after every change, until it has ended; broken lines are opened again. */
  watchJob(id: string, options?: { signal?: AbortSignal; giveUpMs?: number }): AsyncIterable<JobRecord>

  runs(filter?: { experiment?: string; limit?: number }): Promise<RunRecord[]>
  /** Throws `RUN_NOT_FOUND`. */
  run(id: string): Promise<RunRecord>
  createRun(run: { id: string; experiment: string; name: string } & Fields): Promise<RunRecord>
  updateRun(id: string, change: { status?: RunStatus } & Fields): Promise<RunRecord>
  logMetrics(id: string, points: readonly MetricPoint[]): Promise<void>
  metricHistory(id: string, key: string): Promise<MetricPoint[]>

  /** Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `INPUT_INVALID`. Without a version: the alias `latest`. */
  infer(model: string, inputs: Tensors, options?: InferOptions): Promise<InferAnswer>
  /** Answers batches of rows in their order, several in flight; nothing is read far ahead of what is taken. */
  predict(
    model: string,
    batches: AsyncIterable<Tensors> | Iterable<Tensors>,
    options?: PredictOptions,
  ): AsyncIterable<InferAnswer>
  metadata(model: string, version?: string | number): Promise<ModelMetadata>
}

/**
 * Makes a client; nothing is sent yet. Throws `CLOUD_URL_INVALID`.
 *
 * @example
 * const client = createClient({ url: 'http://127.0.0.1:4400' })
 * await client.deploy({ model: 'digits', version: 'latest', fleet: 'shop-floor' })
 * for await (const job of client.watchJob(id)) console.log(job.status)
 */
export function createClient(options: ClientOptions): Client {
  const http = createHttp(options)
  const { json, send } = http
  const post = <T>(at: string, body: unknown) => json<T>(at, { method: 'POST', json: body })
  const patch = <T>(at: string, body: unknown) => json<T>(at, { method: 'PATCH', json: body })
  const v1 = (...segments: readonly (string | number)[]) => path('v1', ...segments)
  /** The list under its name in the answer. */
  const list = async <T>(name: string, at: string, query = {}) => (await json<Record<string, T>>(at, { query }))[name]!

  return {
    url: http.url,
    async ready() {
      const response = await send('/v1/health/ready', {}, [503])
      return (await response.json()) as { ready: boolean; version: string }
    },
    live: async () => (await json<{ live: boolean }>('/v1/health/live')).live,
    wire: () => json('/v1/wire'),

    models: () => list('models', '/v1/models'),
    model: (name) => json(v1('models', name)),
    version: (model, version) => json(v1('models', model, 'versions', version)),
    registerVersion: (model, entry) => post(v1('models', model, 'versions'), entry),
    setAlias: (model, alias, version) =>
      json(v1('models', model, 'aliases', alias), { method: 'PUT', json: { version } }),
    aliasHistory: (model, alias) => list('history', v1('models', model, 'aliases', alias, 'history')),

    devices: (filter) => list('devices', '/v1/devices', filter),
    device: (id) => json(v1('devices', id)),
    desired: (device, fleet) => json(v1('devices', device, 'desired'), { query: { fleet } }),
    sendReports: async (device, reports) =>
      (
        await post<{ acks: { fleet: string; device: string; ack: Ack }[] }>(v1('devices', device, 'reports'), {
          reports,
        })
      ).acks,
    async setReported(reported) {
      await send(v1('devices', reported.device, 'reported'), { method: 'PUT', json: reported })
    },
    reportCounts: (filter) => list('counts', '/v1/reports/counts', filter),

    deploy: (order) => post('/v1/deployments', order),
    drift: (filter) => list('verdicts', '/v1/drift', filter),
    audit: (filter) => list('entries', '/v1/audit', filter),
    createKey: (order) => post('/v1/keys', order),
    keys: () => list('keys', '/v1/keys'),
    revokeKey: (id) => json(v1('keys', id), { method: 'DELETE' }),

    submitJob: (spec) => post('/v1/jobs', spec),
    jobs: (limit) => list('jobs', '/v1/jobs', { limit }),
    job: (id) => json(v1('jobs', id)),
    updateJob: (id, change) => patch(v1('jobs', id), change),
    watchJob: (id, watch) => watchJob(http, id, watch),

    runs: (filter) => list('runs', '/v1/runs', filter),
    run: (id) => json(v1('runs', id)),
    createRun: (run) => post('/v1/runs', run),
    updateRun: (id, change) => patch(v1('runs', id), change),
    async logMetrics(id, points) {
      await send(v1('runs', id, 'metrics'), { method: 'POST', json: { points } })
    },
    metricHistory: (id, key) => list('points', v1('runs', id, 'metrics', key)),

    infer: (model, inputs, given = {}) => infer(http, model, inputs, given),
    predict: (model, batches, given = {}) => predict(http, model, batches, given),
    metadata: (model, version) => metadata(http, model, version),
    ...createBlobs(http),
    ...createTrafficClient(http),
  }
}
