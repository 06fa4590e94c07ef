import type { BlobRef } from '../nouns/manifest.js'
import type { DesiredModel, DesiredState } from '../wire/desired.js'
import type { Ack, Envelope, ReportedState } from '../wire/envelope.js'
import type { KeyRecord, Origin } from './access.js'

export interface ModelRecord {
  readonly name: string
  readonly displayName: string
  readonly createdAt: string
}

export interface VersionRecord {
  readonly model: string
  /** Counts from 1 in each model. */
  readonly version: number
  /** sha256 of the manifest bytes. */
  readonly manifestDigest: string
  readonly runId?: string
  readonly createdAt: string
}

export interface AliasRecord {
  readonly model: string
  readonly alias: string
  readonly version: number
  readonly at: string
}

/** Models, immutable versions, and aliases with their whole history. */
export interface Registry {
  /**
   * Registers a manifest as the model's next version, creating the model if need be. A digest that the model has
   * already is not registered again: that version comes back with `created: false`. `aliases` are pointed at it either
   * way. All in one transaction. Throws `NAME_INVALID`.
   */
  register(entry: {
    model: string
    manifestDigest: string
    runId?: string
    aliases?: readonly string[]
  }): Promise<{ version: VersionRecord; created: boolean }>
  models(): Promise<ModelRecord[]>
  /** Oldest first. Throws `MODEL_NOT_FOUND`. */
  versions(model: string): Promise<VersionRecord[]>
  /** By number (`"3"`) or alias (`"latest"`). Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  resolve(model: string, versionOrAlias: string): Promise<VersionRecord>
  findByDigest(manifestDigest: string): Promise<VersionRecord | undefined>
  /** Throws `NAME_INVALID` (an alias is an id and not a number), `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  setAlias(model: string, alias: string, version: number): Promise<AliasRecord>
  /** Where each alias points now. */
  aliases(model: string): Promise<AliasRecord[]>
  /** Every move of an alias, oldest first. */
  aliasHistory(model: string, alias: string): Promise<AliasRecord[]>
  /**
   * Calls `listener` with the model after each registration and each move of an alias that this process asked for and that
   * is committed, before the caller is told; other processes' are not heard of. Answers what ends it.
   */
  onChange?(listener: (model: string) => void): () => void
}

/** Content-addressed chunks, and the index of blobs made of them. */
export interface ChunkStore {
  /** Which of these are not there. */
  missing(sha256s: readonly string[]): Promise<string[]>
  /** Durable when it resolves. Throws `CHUNK_DIGEST_MISMATCH`, `TOO_LARGE` and stores nothing then. */
  put(sha256: string, bytes: Uint8Array): Promise<void>
  /** Verified on read: throws `CHUNK_DIGEST_MISMATCH` if the stored bytes were altered, `CHUNK_NOT_FOUND`. */
  get(sha256: string): Promise<Uint8Array>
  /** Records which chunks make a blob; all of them must be there (`CHUNK_NOT_FOUND`). */
  putBlob(ref: BlobRef): Promise<void>
  /** Undefined when no such blob was recorded. */
  blob(sha256: string): Promise<BlobRef | undefined>
}

export interface DeviceRecord {
  readonly id: string
  readonly fleet: string
  readonly firstSeenAt: string
  readonly lastSeenAt: string
  readonly reported?: ReportedState
}

/** Devices, what they say and what they should run. */
export interface DeviceStore {
  /** Registers or refreshes a device; a device that moved fleet is moved. */
  seen(device: { id: string; fleet: string; at: string }): Promise<DeviceRecord>
  /** Keeps the newest by `at`; an older one is ignored. */
  setReported(reported: ReportedState): Promise<void>
  /** Throws `DEVICE_NOT_FOUND`. */
  device(id: string): Promise<DeviceRecord>
  devices(filter?: { fleet?: string }): Promise<DeviceRecord[]>
  /**
   * Merges `models` into the desired state of one device (or, without `device`, of the fleet's default) and gives it
   * the fleet's next generation, in one transaction. Generations rise over the whole fleet.
   */
  setDesired(
    target: { fleet: string; device?: string },
    models: Readonly<Record<string, DesiredModel>>,
  ): Promise<DesiredState>
  /** The device's own desired state, else its fleet's default. */
  desired(target: { fleet: string; device?: string }): Promise<DesiredState | undefined>
  /** Every desired state of every fleet, to refill a transport; `device` is undefined for a default. */
  allDesired(): Promise<{ fleet: string; device?: string; desired: DesiredState }[]>
}

export interface StoredReport {
  readonly envelope: Envelope
  readonly receivedAt: string
  /** Rising in order of storing; a cursor for readers. */
  readonly id: number
}

/** Reports, each counted once. */
export interface ReportStore {
  /**
   * Stores the envelopes that are new by (device, boot, seq), in one transaction, durable when it resolves. Answers the
   * highest contiguous sequence now stored for each (device, boot) named, and the envelopes that were new.
   */
  append(
    envelopes: readonly Envelope[],
    receivedAt: string,
  ): Promise<{ acks: { fleet: string; device: string; ack: Ack }[]; fresh: Envelope[] }>
  /** In order of `id`, at most `limit` (default 1,000) after `after`. */
  read(filter: {
    kind?: string
    device?: string
    fleet?: string
    manifestDigest?: string
    after?: number
    limit?: number
  }): Promise<StoredReport[]>
  /** How many are stored, by kind. */
  counts(filter?: {
    device?: string
    fleet?: string
    manifestDigest?: string
  }): Promise<Readonly<Record<string, number>>>
}

export type RunStatus = 'scheduled' | 'running' | 'finished' | 'failed' | 'killed'

export interface RunRecord {
  readonly id: string
  readonly experiment: string
  readonly name: string
  readonly status: RunStatus
  readonly startedAt: string
  readonly endedAt?: string
  readonly params: Readonly<Record<string, string>>
  readonly tags: Readonly<Record<string, string>>
  /** The last value logged of each metric. */
  readonly metrics: Readonly<Record<string, number>>
}

export interface MetricPoint {
  readonly key: string
  readonly value: number
  readonly step: number
  readonly at: string
}

/** Experiments, runs, metrics; the words are MLflow's. */
export interface RunStore {
  /** Creates the experiment if need be. `id` may be given so that a repeated call is harmless. */
  createRun(run: {
    id: string
    experiment: string
    name: string
    params?: Record<string, string>
    tags?: Record<string, string>
  }): Promise<RunRecord>
  /** Throws `RUN_NOT_FOUND`, as all below. `endedAt` is set with a final status. */
  updateRun(
    id: string,
    change: { status?: RunStatus; tags?: Record<string, string>; params?: Record<string, string> },
  ): Promise<RunRecord>
  logMetrics(id: string, points: readonly MetricPoint[]): Promise<void>
  run(id: string): Promise<RunRecord>
  /** Newest first. */
  runs(filter?: { experiment?: string; limit?: number }): Promise<RunRecord[]>
  metricHistory(id: string, key: string): Promise<MetricPoint[]>
}

export type JobStatus = 'queued' | 'running' | 'finished' | 'failed'

export interface JobRecord {
  /** Also the id of its run. */
  readonly id: string
  readonly model: string
  readonly status: JobStatus
  /** The resolved pipeline, plain JSON; narrowed by who runs it. */
  readonly spec: Readonly<Record<string, unknown>>
  /** Blob of the newest checkpoint, and the epoch that it ends. */
  readonly checkpoint?: { readonly sha256: string; readonly epoch: number }
  readonly progress?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: string; readonly message: string }
  /** The trainer node that works on it. */
  readonly worker?: string
  readonly createdAt: string
  readonly updatedAt: string
}

/** Training jobs. */
export interface JobStore {
  create(job: { id: string; model: string; spec: Record<string, unknown> }): Promise<JobRecord>
  /** Changes what is given. Throws `JOB_NOT_FOUND`. A finished or failed job is not changed any more. */
  update(
    id: string,
    change: Partial<Pick<JobRecord, 'status' | 'checkpoint' | 'progress' | 'result' | 'error' | 'worker'>>,
  ): Promise<JobRecord>
  job(id: string): Promise<JobRecord>
  /** Newest first. */
  jobs(filter?: { status?: JobStatus; limit?: number }): Promise<JobRecord[]>
}

export interface StoredKey extends KeyRecord {
  /** Lower-case hexadecimal SHA-256 of the key's secret. */
  readonly secretSha256: string
}

export interface KeyChanges {
  /** Each as it is now, in no order. */
  readonly keys: readonly StoredKey[]
  /** For the next question. */
  readonly revision: number
}

/** API keys. A secret is never stored, nor shown again. */
export interface KeyStore {
  /** Throws `KEY_EXISTS` for an id that was given before. */
  create(key: Omit<StoredKey, 'revokedAt' | 'lastUsedAt'>): Promise<StoredKey>
  /** Newest first, the revoked ones too. */
  keys(): Promise<StoredKey[]>
  /** The first time counts. Throws `KEY_NOT_FOUND`. */
  revoke(id: string, at: string): Promise<StoredKey>
  /** Notes when keys were last used: the latest time counts, ids that are not there are passed over. */
  used(uses: readonly { readonly id: string; readonly at: string }[]): Promise<void>
  /**
   * The keys that were made or revoked, by whatever process, since the revision; of 0 all. A change that is committed is in
   * the answer to the next question. When a key was used is no change.
   */
  changes(since: number): Promise<KeyChanges>
}

export interface AuditEntry extends Origin {
  readonly id: number
  readonly at: string
  /** `version.register`, `alias.set`, `desired.set`, ... */
  readonly action: string
  readonly subject: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Append-only. */
export interface AuditLog {
  append(entry: Origin & { action: string; subject: string; data?: Record<string, unknown> }): Promise<AuditEntry>
  /** Newest first, at most `limit` (default 100) of those before the entry of the id `before`. */
  list(filter?: {
    subject?: string
    action?: string
    actor?: string
    before?: number
    limit?: number
  }): Promise<AuditEntry[]>
}
