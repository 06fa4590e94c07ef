import type { InferContext, InferResult, Span, Tensors, VersionRecord } from '@tideway/core'
import { codeOf } from '@tideway/core/serving'
import type { BatchedRun, RowRunner } from './batch.js'
import type { ModelHost } from './model-host.js'

/** Runs requests on the sessions of a host, and says how long each waited, from `called` on (left out: from now on). */
export class Runner {
  private underWay = 0

  constructor(private readonly host: Pick<ModelHost, 'ready' | 'session' | 'forget'>) {}

  /** Whether no request is being run. */
  get isIdle(): boolean {
    return this.underWay === 0
  }

  /** Throws what loading and running throw. */
  run(version: VersionRecord, inputs: Tensors, context: InferContext, called?: number): Promise<InferResult> {
    return this.counted(1, version, inputs, context, called)
  }

  /** As `run`, for what is not a request: others need not give way to it. */
  aside(version: VersionRecord, inputs: Tensors, context: InferContext = {}): Promise<InferResult> {
    return this.counted(0, version, inputs, context)
  }

  private async counted(
    requests: 0 | 1,
    version: VersionRecord,
    inputs: Tensors,
    context: InferContext,
    called?: number,
  ): Promise<InferResult> {
    const { host } = this
    let since = called
    this.underWay += requests
    try {
      for (;;) {
        // Each promise less is felt by a small model.
        let session = host.ready(version)
        if (session === undefined) {
          since ??= performance.now()
          session = await this.load(version, context.span)
        }
        const waited = since === undefined ? 0 : performance.now() - since
        try {
          return resultOf(version, await session.run(inputs, context), waited)
        } catch (error) {
          // Evicted between the look-up and the run: load it again.
          if (codeOf(error) !== 'SESSION_DISPOSED') throw error
          since ??= performance.now()
          host.forget(version.manifestDigest, session)
        }
      }
    } finally {
      this.underWay -= requests
    }
  }

  /** Whoever waits for it sees in its trace what for. */
  private async load(version: VersionRecord, span: Span | undefined): Promise<RowRunner> {
    const load = span?.child('load')
    try {
      return await this.host.session(version)
    } finally {
      load?.end()
    }
  }
}

function resultOf(version: VersionRecord, ran: BatchedRun, waitedMs: number): InferResult {
  const { outputs, queueMs, runMs, rows, batchRows: batchSize, leads, run, cache } = ran
  const [queueNs, runNs] = [nanoseconds(waitedMs + queueMs), nanoseconds(runMs)]
  const cached = cache && { result: cache.result, ns: nanoseconds(cache.ms) }
  return { version, outputs, timing: { queueNs, runNs, rows, batchSize, leads, run, cache: cached } }
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
