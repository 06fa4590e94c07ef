import { codeOf, type Logger, type MetricPoint, type TrainProgress } from '@tideway/core'
import type { Stage } from '../pipeline/run.js'
import type { CloudCalls } from './calls.js'

/** Word of a running job at least this often; also what tells other nodes that somebody works on it. */
const PROGRESS_EVERY_MS = 500

/** What a trainer node tells of its job while it works. */
export interface Words {
  /** Always told. */
  stage(next: Stage): void
  /** Told at most every 500 ms, but for the last step; the metrics of an epoch's end are always kept. */
  progress(progress: TrainProgress): void
  /** That somebody works on it. */
  alive(): void
  /** What has not been told yet. */
  flush(): Promise<void>
}

/**
 * Words go out in order and never hold training up; one that fails is followed by a newer one. The metrics of every
 * epoch become points of the job's run, each once: also those of a run that is taken up again.
 */
export async function createWords(client: CloudCalls, logger: Logger, job: string): Promise<Words> {
  let loggedTo = (await client.metricHistory(job, 'loss')).at(-1)?.step ?? 0
  let told = Promise.resolve()
  let last = 0
  let stage: Stage = 'loading'
  let newest: TrainProgress['metrics'] = {}
  let points: MetricPoint[] = []

  async function logPoints(): Promise<void> {
    const sent = points
    if (sent.length === 0) return
    points = []
    await client.logMetrics(job, sent).catch((error: unknown) => {
      points = [...sent, ...points]
      throw error
    })
  }
  function say(progress: object, always: boolean): void {
    if (!always && Date.now() - last < PROGRESS_EVERY_MS) return
    last = Date.now()
    told = told
      .then(() => client.updateJob(job, { progress: { stage, ...progress } }))
      .then(logPoints)
      .catch((error: unknown) => logger.warn('progress was not taken', { job, code: codeOf(error) }))
  }

  return {
    stage(next) {
      stage = next
      say({}, true)
    },
    progress(progress) {
      const { epoch, metrics, step, steps } = progress
      if (Object.keys(metrics).length > 0) {
        newest = metrics
        const at = new Date().toISOString()
        if (epoch > loggedTo)
          points.push(...Object.entries(metrics).map(([key, value]) => ({ key, value, step: epoch, at })))
        loggedTo = Math.max(loggedTo, epoch)
      }
      say({ ...progress, metrics: newest }, step === steps)
    },
    alive: () => say({}, false),
    async flush() {
      await told
      await logPoints().catch((error: unknown) => logger.warn('metrics were not taken', { job, code: codeOf(error) }))
    },
  }
}
