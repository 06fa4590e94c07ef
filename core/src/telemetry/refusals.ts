import type { Logger } from '../contracts/logger.js'
import { type Counter, type Family, type Metrics, nullMetrics } from '../contracts/metrics.js'
import { codeOf, type TidewayError } from '../errors/error.js'

const WINDOW_MS = 10_000
/** Lines of one window; what is above is counted in one line. */
const MAX_LINES = 20

export interface Refused {
  /** Of HTTP. */
  readonly method?: string
  readonly path: string
  readonly actor?: string | undefined
  readonly address?: string | undefined
  readonly requestId?: string
}

/**
 * Requests at one door that were refused for who asked (401 and 403), in metrics and in the log of the process: no more lines
 * than can be read, however many there are. They are not in the audit log, which anybody could fill so.
 */
export class Refusals {
  readonly #logger: Logger
  readonly #now: () => number
  #windowEnds = Number.NEGATIVE_INFINITY
  #lines = 0
  #unsaid = 0
  readonly #counted: Family<Counter, 'code'>

  constructor(logger: Logger, metrics: Metrics = nullMetrics, now: () => number = () => performance.now()) {
    this.#counted = metrics.counter({
      name: 'tideway_requests_refused_total',
      help: 'Requests that were refused for who asked, by code',
      labels: ['code'],
    })
    this.#logger = logger
    this.#now = now
  }

  /** Passes over what was refused for another reason. */
  note(error: unknown, { path, ...refused }: Refused): void {
    const code = codeOf(error)
    if (code === undefined || ![401, 403].includes((error as TidewayError).status)) return
    this.#counted.of({ code }).add()
    if (this.#now() >= this.#windowEnds) this.#begin()
    if (this.#lines < MAX_LINES) {
      this.#lines++
      this.#logger.warn('a request was refused', { code, path: path.slice(0, 200), ...refused })
    } else this.#unsaid++
  }

  #begin(): void {
    if (this.#unsaid > 0) this.#logger.warn('more requests were refused', { requests: this.#unsaid })
    this.#windowEnds = this.#now() + WINDOW_MS
    this.#lines = 0
    this.#unsaid = 0
  }
}
