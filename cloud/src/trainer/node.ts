import type { Client } from '@tideway/client'
import {
  codeOf,
  type JobQueue,
  type JobRecord,
  jobSpecSchema,
  type Logger,
  narrow,
  type Quantizer,
  type Runtime,
  sleep,
  type Trainer,
  type Unsubscribe,
} from '@tideway/core'
import { type OtherEngine, otherEngines } from '../pipeline/engines.js'
import { runPipeline } from '../pipeline/run.js'
import { createArtifacts } from './artifacts.js'
import { type FollowedCalls, followCalls } from './calls.js'
import { createWords } from './words.js'

const DEFAULT_CHECKPOINT_EVERY_MS = 2_000
/** Of the queue's time to acknowledge: word of the worker ends well before the queue hands its job to another. */
const SILENT_SHARE = 2 / 3
const DEFAULT_ACK_WAIT_MS = 30_000

export interface TrainerNode {
  readonly name: string
  readonly queue: JobQueue
  readonly client: Client
  readonly trainer: Trainer
  readonly quantizer: Quantizer
  readonly runtime: Runtime
  /** What known answers are compared over; those that are installed when left out. */
  readonly otherEngines?: readonly OtherEngine[]
  readonly logger: Logger
  /** That of the queue, default 30 s. A job whose worker gave no word for two thirds of it is anybody's. */
  readonly ackWaitMs?: number
  /** Checkpoints are kept at the end of an epoch, at most this often; default 2 s. */
  readonly checkpointEveryMs?: number
}

/** From so many failures in a row on, a passing one is logged as an error. */
const LASTING_FAILURES = 5

/** A node with its calls to the cloud followed. */
type Worker = Omit<TrainerNode, 'client'> & FollowedCalls

/**
 * Takes jobs from the queue and runs their pipelines, one at a time. A job that another node left is continued from its
 * last checkpoint. What went wrong for good (bad data, a failed gate, a defect) ends the job; what may pass (no
 * connection, a cloud or proxy that cannot answer) is logged and leaves it to the queue. A node that stops hands its
 * job back.
 */
export function startTrainerNode(node: TrainerNode): Promise<Unsubscribe> {
  const worker: Worker = { ...node, ...followCalls(node.client) }
  const { logger } = node
  const failures = new Map<string, number>()
  return node.queue.work(async ({ id }, signal) => {
    try {
      await takeJob(worker, id, signal)
      failures.delete(id)
    } catch (error) {
      const code = codeOf(error)
      if (code === 'JOB_NOT_FOUND') {
        failures.delete(id)
        logger.error('job dropped: the cloud does not know it', { job: id })
        return
      }
      if (isStop(signal)) throw error
      const count = (failures.get(id) ?? 0) + 1
      failures.set(id, count)
      logger[count < LASTING_FAILURES ? 'warn' : 'error']('job interrupted, to be tried again', {
        job: id,
        failures: count,
        code,
        error: String(error),
      })
      throw error
    }
  })
}

/** The node stops; its claim on the job may also be lost. */
function isStop(signal: AbortSignal): boolean {
  return signal.aborted && codeOf(signal.reason) !== 'JOB_LOST'
}

async function takeJob(worker: Worker, id: string, signal: AbortSignal): Promise<void> {
  const { client, logger } = worker
  const job = await whenFree(worker, id, signal)
  if (job.status === 'finished' || job.status === 'failed') return
  logger.info('job taken', { job: id, model: job.model, checkpoint: job.checkpoint?.epoch })
  try {
    await runJob(worker, job, signal)
    logger.info('job finished', { job: id })
  } catch (error) {
    if (isStop(signal)) await handBack(worker, id)
    if (signal.aborted || worker.isPassing(error)) throw error
    const message = error instanceof Error ? error.message : String(error)
    logger.error('job failed', { job: id, code: codeOf(error), message, ...stackOf(error) })
    await client.updateJob(id, { status: 'failed', error: { code: codeOf(error) ?? 'INTERNAL', message } })
  }
}

/** Of what is no error of ours: a defect, which is to be found by its stack. */
function stackOf(error: unknown): { stack?: string } {
  return error instanceof Error && codeOf(error) === undefined ? { stack: error.stack } : {}
}

/**
 * The job, once no other node works on it: a duplicate in the queue waits here. It must not be acknowledged before the
 * job has ended, as the worker may be one that was killed a moment ago.
 */
async function whenFree(node: Worker, id: string, signal: AbortSignal): Promise<JobRecord> {
  const { client, name } = node
  let job = await client.job(id)
  while (job.status === 'running' && job.worker !== undefined && job.worker !== name) {
    const { updatedAt } = job
    const remaining = silentMs(node) - (Date.now() - Date.parse(updatedAt))
    // The clocks may differ: never longer than one whole silence by our own.
    await sleep(Math.min(Math.max(remaining, 0), silentMs(node)), signal)
    signal.throwIfAborted()
    job = await client.job(id)
    if (job.updatedAt === updatedAt) break
  }
  return job
}

function silentMs({ ackWaitMs = DEFAULT_ACK_WAIT_MS }: Worker): number {
  return ackWaitMs * SILENT_SHARE
}

/** So that another node need not wait for this one's silence. */
async function handBack({ client, logger }: Worker, id: string): Promise<void> {
  await client
    .updateJob(id, { status: 'queued' })
    .catch((error: unknown) => logger.warn('the job was not handed back', { job: id, code: codeOf(error) }))
}

async function runJob(node: Worker, job: JobRecord, signal: AbortSignal): Promise<void> {
  const { client, checkpointEveryMs = DEFAULT_CHECKPOINT_EVERY_MS } = node
  const spec = narrow(jobSpecSchema, job.spec, `job ${job.id}`)
  const artifacts = createArtifacts(client)
  await client.updateJob(job.id, { status: 'running', worker: node.name })

  const words = await createWords(client, node.logger, job.id)
  const heartbeat = setInterval(() => words.alive(), silentMs(node) / 4)
  let kept = Date.now()
  try {
    const resumeFrom = job.checkpoint && (await client.getBlob(job.checkpoint.sha256))
    const result = await runPipeline(
      { id: job.id, spec, ...(resumeFrom && { resumeFrom }) },
      {
        ...node,
        otherEngines: node.otherEngines ?? (await otherEngines()),
        artifacts,
        signal,
        onStage: (stage) => words.stage(stage),
        onProgress: (progress) => words.progress(progress),
        async onCheckpoint(bytes, epoch) {
          if (Date.now() - kept < checkpointEveryMs) return
          kept = Date.now()
          const { sha256 } = await artifacts.putBlob(bytes)
          await client.updateJob(job.id, { checkpoint: { sha256, epoch } })
        },
      },
    )
    await words.flush()
    await client.updateJob(job.id, { status: 'finished', result: { ...result } })
  } finally {
    clearInterval(heartbeat)
    await words.flush()
  }
}
