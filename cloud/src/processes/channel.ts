import { codeOf, TidewayError } from '@tideway/core/serving'
import { cloudErrors } from '../errors.js'

/** Either end of the pipe between a process and its child: a `ChildProcess`, or `process` in the child. */
export interface Port {
  /** Without a callback Node takes what could not be sent for an error of the process. */
  send?(message: unknown, sent: (error: Error | null) => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
}

interface Call {
  readonly call: number
  readonly object: string
  readonly method: string
  readonly args: readonly unknown[]
}

interface Answer {
  readonly answer: number
  readonly value?: unknown
  readonly error?: SentError
}

/** What of an error crosses over: of ours all but the cause. */
interface SentError {
  readonly message: string
  readonly code?: string
  readonly status?: number
  readonly data?: Readonly<Record<string, unknown>>
}

interface Event {
  readonly event: string
  readonly value: unknown
}

type Methods = Readonly<Record<string, ((...args: unknown[]) => unknown) | undefined>>

/**
 * Calls between two processes: each exposes objects by name, and has those of the other as if they were here, but for
 * methods that take or give what is no plain data (functions, streams). Typed arrays travel as they are (the pipe is to be
 * opened with `serialization: 'advanced'`). Errors of ours keep their code, status and data; a call that is under way when the
 * other process ends is rejected with `SERVING_PROCESS_ENDED`.
 *
 * @example
 * channel.expose('registry', registry) // in one process
 * const registry = channel.remote<Registry>('registry') // in the other
 * await registry.resolve('digits', 'latest')
 */
export class Channel {
  private readonly objects = new Map<string, Methods>()
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  private readonly listeners = new Map<string, (value: unknown) => void>()
  private calls = 0
  private isOpen = true

  constructor(private readonly port: Port) {
    port.on('message', (message) => this.receive(message))
    port.on('disconnect', () => this.close())
  }

  expose(name: string, object: object): void {
    this.objects.set(name, object as Methods)
  }

  /** The other's object; methods in `own` are called here. */
  remote<T extends object>(name: string, own: Partial<T> = {}): T {
    return new Proxy(own as T, {
      get: (target, method) => {
        // Whoever awaits it must not take it for a promise.
        if (method in target || typeof method === 'symbol' || method === 'then') return Reflect.get(target, method)
        return (...args: readonly unknown[]) => this.call(name, method, args)
      },
    })
  }

  call(object: string, method: string, args: readonly unknown[]): Promise<unknown> {
    if (!this.isOpen) return Promise.reject(cloudErrors.SERVING_PROCESS_ENDED({}))
    const call = ++this.calls
    return new Promise((resolve, reject) => {
      this.waiting.set(call, { resolve, reject })
      this.send({ call, object, method, args })
    })
  }

  /** Tells the other process, which need not listen; `written` is called when that is on its way, whatever happens here next. */
  tell(event: string, value?: unknown, written?: () => void): void {
    if (this.isOpen) this.send({ event, value }, written)
  }

  /** One listener an event. */
  on(event: string, listener: (value: unknown) => void): void {
    this.listeners.set(event, listener)
  }

  /** The other process has ended: for whoever knows it sooner, since Node tells of no `disconnect` while a handle is under way. */
  close(): void {
    this.isOpen = false
    for (const { reject } of this.waiting.values()) reject(cloudErrors.SERVING_PROCESS_ENDED({}))
    this.waiting.clear()
  }

  private send(message: Call | Answer | Event, written = () => {}): void {
    // The other one may have ended already, of which this one hears next: then nobody waits for an answer any more.
    this.port.send?.(message, (error) => error ?? written())
  }

  private receive(message: unknown): void {
    if (typeof message !== 'object' || message === null) return
    if ('call' in message) void this.answer(message as Call)
    else if ('answer' in message) this.settle(message as Answer)
    else if ('event' in message) this.listeners.get((message as Event).event)?.((message as Event).value)
  }

  private async answer({ call, object, method, args }: Call): Promise<void> {
    let answer: Answer
    try {
      const target = this.objects.get(object)
      const known = target?.[method]
      if (typeof known !== 'function') throw new TypeError(`the other process has no ${object}.${method}`)
      answer = { answer: call, value: await known.apply(target, [...args]) }
    } catch (error) {
      answer = { answer: call, error: sent(error) }
    }
    if (this.isOpen) this.send(answer)
  }

  private settle({ answer, value, error }: Answer): void {
    const waiting = this.waiting.get(answer)
    this.waiting.delete(answer)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(received(error))
  }
}

function sent(error: unknown): SentError {
  const message = error instanceof Error ? error.message : String(error)
  if (codeOf(error) === undefined) return { message }
  const { code, status, data } = error as TidewayError
  return { message, code, status, data }
}

function received({ message, code, status = 500, data = {} }: SentError): Error {
  return code === undefined ? new Error(message) : new TidewayError(code, message, data, status)
}
