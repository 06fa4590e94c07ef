import { errors as core } from '@tideway/core/serving'
import { errors } from '../errors.js'
import type { BodySource, Header, Together } from '../http/aligned.js'
import type { BodyLimits } from '../http/body.js'
import { type Awaited, type StallWatch, stallWatch } from '../http/stalls.js'
import { DRAIN_MS, MAX_DRAIN_BYTES } from './exchange.js'
import type { PlainHead } from './plain-head.js'

/** More than this waits on its way until somebody reads. */
const MAX_UNREAD_BYTES = 64 * 1024

/** What a body does to the connection that it arrives on. */
export interface BodyHost {
  /** Stops and goes on with what arrives. */
  flow(flows: boolean): void
  /** Goes on behind a body that nobody wanted. */
  next(): void
  /** More of one comes than anybody waits for: the connection is closed when what was written has left. */
  giveUp(): void
}

interface Reader {
  readonly come: () => void
  readonly fail: (error: Error) => void
  readonly watch: StallWatch
  readonly awaited: Awaited
}

/** The body of one request, of a length that was declared, as it arrives in parts. */
export class PlainBody implements BodySource {
  readonly #parts: Uint8Array[] = []
  #received = 0
  #reader: Reader | undefined
  #draining: { readonly timer: NodeJS.Timeout; bytes: number } | undefined
  #aborted = false

  constructor(
    private readonly head: PlainHead,
    private readonly host: BodyHost,
  ) {}

  get header(): Header {
    return this.head.header
  }

  derive<T>(make: (header: Header) => T): T {
    return this.head.derive(make)
  }

  get isWhole(): boolean {
    return this.#received === this.head.bodyBytes
  }

  /** Takes what belongs to it, and gives what is behind it. */
  take(part: Uint8Array): Uint8Array | undefined {
    const missing = this.head.bodyBytes - this.#received
    const own = part.byteLength <= missing ? part : part.subarray(0, missing)
    this.#received += own.byteLength
    if (this.#draining) this.#drop(own.byteLength)
    else {
      if (own.byteLength > 0) this.#parts.push(own)
      this.#tell()
    }
    return own === part ? undefined : part.subarray(missing)
  }

  /** At once where it is whole already. Throws (or rejects with) `TOO_LARGE`, `BODY_STALLED`, `REQUEST_ABORTED`. */
  read<T>({ what, maxBytes, idleMs }: BodyLimits, together: Together<T>): T | Promise<T> {
    const { bodyBytes } = this.head
    if (bodyBytes > maxBytes) throw core.TOO_LARGE({ what, bytes: bodyBytes, maxBytes })
    if (this.isWhole) return together(this.#parts)
    if (this.#aborted) throw errors.REQUEST_ABORTED({})
    return new Promise((resolve, reject) => {
      const watch = stallWatch(idleMs)
      const settled = () => {
        this.#reader = undefined
        watch.end(awaited)
      }
      const fail = (error: Error) => {
        settled()
        reject(error)
      }
      const come = () => {
        settled()
        try {
          resolve(together(this.#parts))
        } catch (cause) {
          reject(cause)
        }
      }
      const awaited = watch.begin(() => fail(errors.BODY_STALLED({ idleMs })))
      this.#reader = { come, fail, watch, awaited }
      this.host.flow(true)
    })
  }

  /** Lets the rest go by, for so long that its sender reads the answer. */
  drain(): void {
    const timer = setTimeout(() => this.host.giveUp(), DRAIN_MS)
    this.#parts.length = 0
    this.#draining = { timer, bytes: 0 }
    this.host.flow(true)
  }

  /** No more of it comes. */
  abort(): void {
    this.#aborted = true
    clearTimeout(this.#draining?.timer)
    this.#reader?.fail(errors.REQUEST_ABORTED({}))
  }

  #tell(): void {
    if (this.#reader === undefined) {
      if (this.#received > MAX_UNREAD_BYTES && !this.isWhole) this.host.flow(false)
    } else if (this.isWhole) this.#reader.come()
    else this.#reader.watch.heard(this.#reader.awaited)
  }

  #drop(bytes: number): void {
    const draining = this.#draining!
    draining.bytes += bytes
    if (this.isWhole) {
      clearTimeout(draining.timer)
      this.host.next()
    } else if (draining.bytes > MAX_DRAIN_BYTES) this.host.giveUp()
  }
}
