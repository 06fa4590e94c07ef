import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base'
import { type Counter, type Family, type Logger } from '@tideway/core'

const TELL_EVERY_MS = 60_000

/** An exporter whose failures are counted, and logged at most once a minute: the SDK itself would keep them to itself. */
export class ToldExporter implements SpanExporter {
  #untold = 0
  #tellAt = 0

  constructor(
    private readonly exporter: SpanExporter,
    private readonly spans: Family<Counter, 'result'>,
    private readonly logger: () => Pick<Logger, 'warn'>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.exporter.export(spans, (result) => {
      const isSent = result.code === ExportResultCode.SUCCESS
      this.spans.of({ result: isSent ? 'sent' : 'lost' }).add(spans.length)
      if (!isSent) this.#tell(spans.length, result.error)
      done(result)
    })
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown()
  }

  async forceFlush(): Promise<void> {
    await this.exporter.forceFlush?.()
  }

  #tell(spans: number, error: Error | undefined): void {
    this.#untold += spans
    const now = this.now()
    if (now < this.#tellAt) return
    this.logger().warn('spans of traces could not be sent and are lost', {
      spans: this.#untold,
      error: error?.message ?? 'no reason was given',
    })
    this.#untold = 0
    this.#tellAt = now + TELL_EVERY_MS
  }
}
