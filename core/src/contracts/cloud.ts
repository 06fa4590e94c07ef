import type { DesiredState } from '../wire/desired.js'
import type { Envelope } from '../wire/envelope.js'
import type { Origin } from './access.js'
import type { JobRecord, ReportStore, VersionRecord } from './store.js'
import type { Signature, Tensors } from './tensor.js'
import type { Span } from './tracer.js'

export interface Deployment {
  readonly model: string
  readonly version: number
  readonly manifestDigest: string
  readonly fleet: string
  /** Undefined: the fleet's default. */
  readonly devices?: readonly string[]
  readonly desired: readonly DesiredState[]
  /** Of a whole fleet: its devices that have a desired state of their own, which goes before the fleet's default. */
  readonly unaffected: readonly string[]
}

/** Moves devices to versions: chunks acknowledged, then the manifest, then desired state. */
export interface Controller {
  /**
   * Writes the audit log (`desired.set`) with the origin. Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `CHUNK_NOT_FOUND`,
   * `CHUNK_STREAM_FULL`; then no device was told anything.
   */
  deploy(
    order: Origin & {
      model: string
      version: string
      fleet: string
      devices?: readonly string[]
    },
  ): Promise<Deployment>
}

/** How a request was run, measured where it was. Durations are nanoseconds. */
export interface InferTiming {
  /** From the call to the start of its run: until its session was there, and those before it had run. */
  readonly queueNs: number
  /** Of the run itself. */
  readonly runNs: number
  /** Rows of the request; 1 for a model without a free first dimension. */
  readonly rows: number
  /** Rows of the run, which other requests may have shared. */
  readonly batchSize: number
  /** Whether the run is to be counted with this request: with one of those that shared it. */
  readonly leads: boolean
  /** The run, the same object for all requests that shared it; undefined where the host does not tell. */
  readonly run?: RunInfo
  /** What the cache of answers made of it, where there is one, and how long looking up, copying and keeping took. */
  readonly cache?: { readonly result: 'hit' | 'miss' | 'bypass'; readonly ns: number }
}

/** One run of a model, for one request or for several. */
export interface RunInfo {
  /** Why no more requests went into it: `free`, `full`, ... */
  readonly closed: string
  readonly rows: number
  readonly requests: number
}

/** Requests by what the cache of answers made of them, since this process began: together they are all of them. */
export interface CacheTotals {
  /** Answered without a run of their own: with a kept answer, or with that of the same request that was running. */
  readonly hits: number
  /** Looked up, not found, and run. */
  readonly misses: number
  /** Run without being looked up: too large, asked not to be, or of a model whose answers are not kept. */
  readonly bypassed: number
}

/** One version of a model, and whether it can be run at once. */
export interface ServedVersion {
  readonly model: string
  readonly version: string
  readonly state: 'ready' | 'loading' | 'unavailable'
  /** Why it is in this state; empty where there is nothing to say. */
  readonly reason: string
}

/** What is known of an inference request beside its inputs. */
export interface InferContext {
  /** In logs and traces, and by which the outcome of an A/B test is reported. */
  readonly requestId?: string
  /** Requests with the same key are answered by the same version while a traffic policy stands. */
  readonly stickyKey?: string
  /** In [0, 1): where a policy leaves it to chance, requests with the same number are answered by the same version. */
  readonly draw?: number
  /** On the clock of `performance.now()`, in milliseconds: whose run has not begun by then is not run. */
  readonly deadlineMs?: number
  /** Fires when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
  /** Where its trace is sampled: what answers the request adds its own spans to it. */
  readonly span?: Span
  /** An answer that was kept from an earlier request will not do: it is run, and its answer is not kept. */
  readonly noCache?: boolean
}

/** An answer, and which version gave it. */
export interface InferResult {
  readonly version: VersionRecord
  readonly outputs: Tensors
  readonly timing?: InferTiming
  /** Under an A/B test: by which its outcome is reported. */
  readonly unit?: string
}

/** Online inference in the cloud. */
export interface Serving {
  /**
   * Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_UNLOADED`. Without a version: whatever the model's traffic policy
   * says, which is the alias `latest` where none was set.
   */
  metadata(
    model: string,
    version?: string,
  ): Promise<{
    version: VersionRecord
    versions: readonly string[]
    platform: string
    signature: Signature
    /** Rows of several requests that go into one run at most; undefined where each request has a run of its own. */
    maxBatchRows?: number
  }>
  /** Also throws `INPUT_INVALID`. Outputs in the order of the signature. */
  infer(model: string, version: string | undefined, inputs: Tensors, context?: InferContext): Promise<InferResult>
  /** Which version a request would go to, without loading it. Throws `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  versionOf?(model: string, version?: string): Promise<VersionRecord>
  /** Whether a traffic policy says who answers requests that name no version. */
  hasPolicy?(model: string): boolean
  /** Undefined where no answers are kept. */
  cacheTotals?(): CacheTotals | undefined
  /** Every version of every model, loaded or not. */
  index?(): Promise<readonly ServedVersion[]>
  /**
   * Loads the version that `latest` names, anew if it is loaded, and takes requests for the model again. Throws
   * `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_INVALID`; then all is as it was.
   */
  load?(model: string): Promise<void>
  /**
   * Frees every version of the model once the runs in flight have ended; until it is loaded again requests for it throw
   * `MODEL_UNLOADED`. Throws `MODEL_NOT_FOUND`.
   */
  unload?(model: string): Promise<void>
}

/** Training jobs, as the HTTP face sees them. */
export interface Jobs {
  /** Writes the audit log (`job.submit`). Throws `INPUT_REJECTED` naming every bad field, `BLOB_NOT_FOUND` for missing data. */
  submit(spec: unknown, origin: Origin): Promise<JobRecord>
  /** A trainer node's word on a job: narrowed here. */
  update(id: string, change: unknown): Promise<JobRecord>
  job(id: string): Promise<JobRecord>
  jobs(limit?: number): Promise<JobRecord[]>
  /** The record now and after every change until it ended or the signal fires. */
  watch(id: string, signal?: AbortSignal): AsyncIterable<JobRecord>
}

/** Where devices and trainer nodes connect; what `GET /v1/wire` answers. */
export interface WireInfo {
  readonly transport: string
  readonly mqttUrl?: string
  readonly natsUrl?: string
}

/** The one way in for reports, whatever carried them: commit, then acknowledge, then tell the monitor. */
export interface ReportIntake {
  accept(envelopes: readonly Envelope[], receivedAt: string): ReturnType<ReportStore['append']>
}

/** The cloud's HTTP face. */
export interface Server {
  /** `http://127.0.0.1:4400` once started. */
  readonly url: string | undefined
}

/** The cloud's gRPC face: inference alone. */
export interface GrpcServer {
  /** `grpc://127.0.0.1:8001` once started; `grpcs:` over TLS. */
  readonly url: string | undefined
}

/** Processes that answer inference alone, on an address of their own. */
export interface DataPlane extends Server {
  /** Of those that are ready. */
  readonly pids: readonly number[]
}

/** An MQTT broker inside this process. */
export interface Broker {
  /** `mqtt://127.0.0.1:1883` once started. */
  readonly url: string | undefined
  /** With which the cloud's own link connects once started, where the broker asks; made anew by each process. */
  readonly cloudCredentials?: { readonly username: string; readonly password: string } | undefined
}
