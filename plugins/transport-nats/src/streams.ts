import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import { subjects } from '@tideway/core'
import { errors } from './errors.js'

/** JetStream streams of the wire (DESIGN section 6). */
export const streams = {
  desired: 'TIDEWAY_DESIRED',
  chunks: 'TIDEWAY_CHUNKS',
  reports: 'TIDEWAY_REPORTS',
  reported: 'TIDEWAY_REPORTED',
  jobs: 'TIDEWAY_JOBS',
} as const

/** Subjects of the job stream: one a job, so that pushing a job twice keeps one. */
export const jobSubject = (id: string) => `${subjects.job}.${id}`

export interface StreamSizes {
  readonly maxChunkBytes: number
  readonly maxReportBytes: number
  readonly replicas: number
}

type Wanted = Partial<StreamConfig> & { readonly name: string }

const stateOf = (name: string, subject: string, replicas: number): Wanted => ({
  name,
  subjects: [subject],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  max_msgs_per_subject: 1,
  discard: DiscardPolicy.Old,
  allow_direct: true,
  num_replicas: replicas,
})

/** What the cloud's link needs. Queues and chunks refuse when full: nothing is evicted silently. */
export function cloudStreams({ maxChunkBytes, maxReportBytes, replicas }: StreamSizes): Wanted[] {
  return [
    stateOf(streams.desired, subjects.desiredAll, replicas),
    stateOf(streams.reported, subjects.reportedAll, replicas),
    {
      ...stateOf(streams.chunks, subjects.chunkAll, replicas),
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      max_bytes: maxChunkBytes,
    },
    {
      name: streams.reports,
      subjects: [subjects.reportAll],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      max_bytes: maxReportBytes,
      num_replicas: replicas,
    },
  ]
}

export function jobStream(replicas: number): Wanted {
  return {
    name: streams.jobs,
    subjects: [jobSubject('*')],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    discard_new_per_subject: true,
    num_replicas: replicas,
  }
}

/** What the promises of the wire rest on; sizes and replicas of a stream that is there are its operator's to choose. */
const ESSENTIAL = ['max_msgs_per_subject', 'discard', 'discard_new_per_subject', 'allow_direct'] as const

/** JetStream's code for "stream not found". */
const STREAM_NOT_FOUND = 10059

/** Creates the stream, or corrects one that is there. Throws `NATS_STREAM_UNUSABLE`. */
export async function ensureStream(jsm: JetStreamManager, wanted: Wanted): Promise<void> {
  const unusable = (reason: string, cause?: unknown) =>
    errors.NATS_STREAM_UNUSABLE({ stream: wanted.name, reason }, cause)
  try {
    const { config } = await jsm.streams.info(wanted.name)
    if (config.retention !== wanted.retention)
      throw unusable(`its retention is ${config.retention}, not ${wanted.retention}`)
    const wrong = ESSENTIAL.filter((key) => wanted[key] !== undefined && config[key] !== wanted[key])
    if (wrong.length > 0)
      await jsm.streams.update(wanted.name, Object.fromEntries(wrong.map((key) => [key, wanted[key]])))
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error
    if (error.code !== STREAM_NOT_FOUND) throw unusable(error.message, error)
    await jsm.streams.add(wanted).catch((cause: Error) => {
      throw unusable(cause.message, cause)
    })
  }
}

/** What JetStream says when a stream that discards new messages refuses one; the codes of both are the same. */
export function refusalOf(error: unknown): 'exists' | 'full' | undefined {
  if (!(error instanceof JetStreamApiError)) return undefined
  if (/maximum messages per subject/.test(error.message)) return 'exists'
  if (/maximum (bytes|messages)/.test(error.message) || /insufficient|resource limits/.test(error.message))
    return 'full'
  return undefined
}
