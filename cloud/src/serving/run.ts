import { codeOf, type InferContext, type InferResult, type Span, type Tensors, type VersionRecord } from '@tideway/core'
import type { ModelHost } from './model-host.js'

/** Runs requests on the sessions of a host, and says how long each waited, from `called` on. */
export class Runner {
  private underWay = 0

  constructor(private readonly host: Pick<ModelHost, 'session' | 'forget' | 'isReady'>) {}

  /** Whether no request is being run. */
  get isIdle(): boolean {
    return this.underWay === 0
  }

  /** Throws what loading and running throw. */
  async run(version: VersionRecord, inputs: Tensors, context: InferContext, called: number): Promise<InferResult> {
    this.underWay++
    try {
      return await this.aside(version, inputs, context, called)
    } finally {
      this.underWay--
    }
  }

  /** As `run`, for what is not a request: others need not give way to it. */
  async aside(
    version: VersionRecord,
    inputs: Tensors,
    context: InferContext = {},
    called = performance.now(),
  ): Promise<InferResult> {
    const { host } = this
    for (;;) {
      const loading = host.session(version)
      if (!host.isReady(version)) traceLoad(loading, context.span)
      const session = await loading
      const waited = performance.now() - called
      try {
        const { outputs, queueMs, runMs, rows, batchRows, leads, run, cache } = await session.run(inputs, context)
        const timing = {
          queueNs: nanoseconds(waited + queueMs),
          runNs: nanoseconds(runMs),
          rows,
          batchSize: batchRows,
          leads,
          run,
          cache: cache && { result: cache.result, ns: nanoseconds(cache.ms) },
        }
        return { version, outputs, timing }
      } catch (error) {
        // Evicted between the look-up and the run: load it again.
        if (codeOf(error) !== 'SESSION_DISPOSED') throw error
        host.forget(version.manifestDigest, loading)
      }
    }
  }
}

/** Whoever waits for a load sees in its trace what for. */
function traceLoad(loading: Promise<unknown>, span: Span | undefined): void {
  const load = span?.child('load')
  const end = () => load?.end()
  if (load) loading.then(end, end)
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
