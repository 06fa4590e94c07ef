import { EventEmitter, on } from 'node:events'
import {
  canonicalJson,
  codeOf,
  definePlugin,
  errors,
  type JobRecord,
  type JobSpec,
  type JobStatus,
  type Jobs,
  jobSpecSchema,
  narrow,
  type Rereader,
  type RunStatus,
  type Scope,
  sha256Schema,
  startRereader,
  tokens,
} from '@tideway/core'
import { z } from 'zod'
import { newId } from './ids.js'

/** What a trainer node may say of a job. */
const changeSchema = z.strictObject({
  /** `queued`: handed back. */
  status: z.enum(['queued', 'running', 'finished', 'failed']).optional(),
  checkpoint: z.strictObject({ sha256: sha256Schema, epoch: z.int().nonnegative() }).optional(),
  progress: z
    .looseObject({ stage: z.string(), step: z.int().optional(), metrics: z.record(z.string(), z.number()).optional() })
    .optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  worker: z.string().max(255).optional(),
})

const runStatus: Record<JobStatus, RunStatus> = {
  queued: 'scheduled',
  running: 'running',
  finished: 'finished',
  failed: 'failed',
}

const options = z.strictObject({
  /**
   * An open job without word for so long is pushed again: a queue gives up on what nobody could take. Default 60 s, twice
   * as long as a trainer node may be silent.
   */
  quietMs: z.int().positive().default(60_000),
})

/** Training jobs: each is also a run of the experiment named like its model. */
export const jobs = definePlugin({
  name: 'jobs',
  provides: [tokens.jobs],
  options,
  needs: [tokens.jobStore, tokens.runStore, tokens.chunkStore, tokens.auditLog, tokens.jobQueue, tokens.logger],
  register(scope, { quietMs }) {
    const events = new EventEmitter().setMaxListeners(0)
    let quiet: Rereader | undefined
    scope.provide(tokens.jobs, () => createJobs(scope, events))
    return {
      async start() {
        // The queue may have lost what the store still holds (a cloud without NATS always has).
        await pushOpen(scope, () => true)
        const isQuiet = ({ updatedAt }: JobRecord) => Date.now() - Date.parse(updatedAt) >= quietMs
        const pushQuiet = (signal: AbortSignal) =>
          pushOpen(scope, isQuiet, signal).catch((error: unknown) =>
            scope.get(tokens.logger).warn('open jobs were not pushed', { code: codeOf(error), error: String(error) }),
          )
        quiet = startRereader(pushQuiet, () => quietMs)
      },
      stop: () => quiet?.stop(),
    }
  },
})

/** Oldest first, those begun before the others. One that is queued or being worked on is not queued twice. */
async function pushOpen(scope: Scope, which: (job: JobRecord) => boolean, signal?: AbortSignal): Promise<void> {
  const store = scope.get(tokens.jobStore)
  for (const status of ['running', 'queued'] as const)
    for (const job of (await store.jobs({ status })).toReversed()) {
      if (signal?.aborted) return
      if (which(job)) await scope.get(tokens.jobQueue).push({ id: job.id })
    }
}

function createJobs(scope: Scope, events: EventEmitter): Jobs {
  const store = scope.get(tokens.jobStore)
  return {
    async submit(raw, origin) {
      const spec = narrow(jobSpecSchema, raw, 'job')
      const chunks = scope.get(tokens.chunkStore)
      const needed = [spec.data.sha256, spec.from?.checkpoint, spec.base?.sha256, spec.distillation?.sha256]
      for (const sha256 of needed.filter((digest) => digest !== undefined))
        if (!(await chunks.blob(sha256))) throw errors.BLOB_NOT_FOUND({ sha256 })
      const id = newId()
      await scope
        .get(tokens.runStore)
        .createRun({ id, experiment: spec.model, name: `${spec.model}-${id}`, params: paramsOf(spec) })
      const job = await store.create({ id, model: spec.model, spec })
      await scope
        .get(tokens.auditLog)
        .append({ ...origin, action: 'job.submit', subject: id, data: { model: spec.model } })
      await scope.get(tokens.jobQueue).push({ id })
      return job
    },
    async update(id, raw) {
      const change = narrow(changeSchema, raw, 'job change')
      const before = await store.job(id)
      const job = hasEnded(before) ? before : await store.update(id, change)
      const runs = scope.get(tokens.runStore)
      // What has ended stays as it is, also when another node's word arrived in between.
      if (hasEnded(before) || (hasEnded(job) && change.status !== job.status)) {
        // A cloud that was killed between the two may have left the run behind its job.
        const status = runStatus[job.status]
        if ((await runs.run(id)).status !== status) await runs.updateRun(id, { status })
        return job
      }
      if (change.status) await runs.updateRun(id, { status: runStatus[job.status] })
      events.emit(id, job)
      return job
    },
    job: (id) => store.job(id),
    jobs: (limit = 100) => store.jobs({ limit }),
    watch: (id, signal) => watch(store.job.bind(store), events, id, signal),
  }
}

function hasEnded({ status }: JobRecord): boolean {
  return status === 'finished' || status === 'failed'
}

/** The record now and after every change, until it has ended or the signal fires. */
export async function* watch(
  read: (id: string) => Promise<JobRecord>,
  events: EventEmitter,
  id: string,
  signal?: AbortSignal,
): AsyncGenerator<JobRecord> {
  if (signal?.aborted) return
  // Subscribed before the first read, so that no change falls between the two.
  const changes = on(events, id, { signal })
  try {
    const now = await read(id)
    yield now
    if (hasEnded(now)) return
    for await (const [job] of changes as AsyncIterable<[JobRecord]>) {
      yield job
      if (hasEnded(job)) return
    }
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    await changes.return?.()
  }
}

/** A parameter of a run is text: a name or number as it is, what has arguments as JSON. */
const textOf = (value: string | number | object): string =>
  typeof value === 'object' ? canonicalJson(value) : String(value)

function paramsOf(spec: JobSpec): Record<string, string> {
  const { optimizer, batchSize, epochs, seed, loss } = spec
  return {
    loss: textOf(loss),
    optimizer: optimizer.type,
    learningRate: textOf(optimizer.learningRate),
    batchSize: String(batchSize),
    epochs: String(epochs),
    seed: String(seed),
    ...subjectOf(spec),
    data: spec.data.sha256,
  }
}

/** What is trained: a network's layers, or a base model with what is done to it. */
function subjectOf({ network, base }: JobSpec): Record<string, string> {
  if (network !== undefined)
    return {
      layers: network.layers
        .map((layer) => ('units' in layer ? `${layer.type}(${layer.units})` : layer.type))
        .join(' '),
    }
  const { sha256 = '', size: _, ...options } = base ?? {}
  return { base: sha256, fineTune: canonicalJson(options) }
}
