import type { DesiredState } from '../wire/desired.js'
import type { Ack, Envelope, Presence, ReportedState } from '../wire/envelope.js'

/** Stops a subscription; resolves when no handler runs any more. */
export type Unsubscribe = () => Promise<void>

export interface CloudLinkFlags {
  /** Chunks and manifests must be put on this link (NATS); otherwise devices fetch them over HTTP. */
  readonly carriesChunks: boolean
  /** Desired state itself travels on this link (NATS); otherwise only a hint to look (MQTT). */
  readonly carriesDesired: boolean
}

/** The cloud's end of the wire. */
export interface CloudLink {
  readonly name: string
  readonly flags: CloudLinkFlags
  /** Resolves when the link has it for sure; already there is fine. Throws `CHUNK_STREAM_FULL`. No-op without the flag. */
  putChunk(sha256: string, bytes: Uint8Array): Promise<void>
  /** Publishes (or hints at) a desired state; `device` undefined: the fleet's default. */
  publishDesired(target: { fleet: string; device?: string }, desired: DesiredState): Promise<void>
  /**
   * Gives batches of valid envelopes whose subject agrees with their fleet and device. What the handler's promise
   * resolves to is sent to the devices as acknowledgements; when it rejects, the batch is delivered again. Malformed
   * reports are dropped and counted in `stats`.
   */
  consumeReports(
    handler: (
      batch: readonly Envelope[],
      receivedAt: string,
    ) => Promise<readonly { fleet: string; device: string; ack: Ack }[]>,
  ): Promise<Unsubscribe>
  watchReported(handler: (reported: ReportedState) => void): Promise<Unsubscribe>
  watchPresence(handler: (device: { fleet: string; device: string }, presence: Presence) => void): Promise<Unsubscribe>
  stats(): CloudLinkStats
  close(): Promise<void>
}

export interface CloudLinkStats {
  readonly connected: boolean
  readonly reportsReceived: number
  /** By error code. */
  readonly reportsDropped: Readonly<Record<string, number>>
}

/** A device's end of the wire. It reconnects by itself for as long as it is open. */
export interface EdgeLink {
  readonly name: string
  /**
   * Calls the handler with the desired state now (if there is one), on every change, on every reconnect and every 5
   * minutes with jitter. The same generation may come more than once. Resolves once subscribed; does not wait for a
   * connection.
   */
  watchDesired(handler: (desired: DesiredState) => void): Promise<Unsubscribe>
  /** The bytes of a chunk, not verified. Throws `CHUNK_NOT_FOUND`, `LINK_UNAVAILABLE`; retries are the caller's. */
  fetchChunk(sha256: string, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<Uint8Array>
  /** Hands the envelope to the link. Rejects when it could not be sent; resolving is not an acknowledgement. */
  sendReport(envelope: Envelope): Promise<void>
  /** Acknowledgements sent after the store's commit. */
  watchAcks(handler: (ack: Ack) => void): Promise<Unsubscribe>
  setReported(reported: ReportedState): Promise<void>
  connected(): boolean
  /** Called after every (re)connection: the time to send what is in the outbox. */
  onConnect(handler: () => void): void
  close(): Promise<void>
}

export interface QueuedJob {
  readonly id: string
}

/** Work for trainer nodes: each job goes to one worker; a worker that dies loses it to another. */
export interface JobQueue {
  push(job: QueuedJob): Promise<void>
  /**
   * Takes jobs one at a time. While the handler runs the job is kept; when it resolves the job is done; when it rejects
   * or the process dies the job is delivered again, here or elsewhere.
   */
  work(handler: (job: QueuedJob, signal: AbortSignal) => Promise<void>): Promise<Unsubscribe>
}
