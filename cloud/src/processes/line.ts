import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { CONNECTION } from './messages.js'

/** After this, in milliseconds, a process that has not taken a connection gets no others while there are other processes. */
const LATE_MS = 2_000
/** For so long, in milliseconds, where a connection was lost on its way. */
const REST_MS = 10_000

export interface LineOptions {
  readonly child: Pick<ChildProcess, 'send'>
  /** Asks the process for a sign of life, which comes behind all that was sent to it before. */
  readonly answer: () => Promise<unknown>
  /** Gets those that another process may have sooner: this one has read nothing of them. */
  readonly spare: (sockets: readonly Socket[]) => void
  /** Gets one that was lost on its way: the process has no descriptor for it. */
  readonly lost: (socket: Socket) => void
  readonly lateMs?: number
  readonly restMs?: number
}

/**
 * Connections on their way to a process, in their order, each kept open here until the process has taken it: those that Node
 * itself is to close, or lets wait, stay open for ever when the process ends meanwhile (its channel then waits for the word that
 * the one under way has come, Node 20 to 24).
 */
export class Line {
  private readonly waiting: Socket[] = []
  private readonly events = new EventEmitter<{ empty: [] }>()
  private sent: Socket | undefined
  private late: NodeJS.Timeout | undefined
  private rest: NodeJS.Timeout | undefined
  private stands = false

  constructor(private readonly options: LineOptions) {}

  /** With the one under way. */
  get length(): number {
    return this.waiting.length + (this.sent === undefined ? 0 : 1)
  }

  /** The process stands still, or lost one a moment ago. */
  get isLate(): boolean {
    return this.stands || this.rest !== undefined
  }

  add(socket: Socket): void {
    this.waiting.push(socket)
    this.next()
  }

  /** The process has the one under way. */
  taken(): void {
    this.stands = false
    clearTimeout(this.rest)
    this.rest = undefined
    this.sent?.destroy()
    this.clear()
    this.next()
  }

  /** Resolves when the process has them all, or has ended. */
  async emptied(): Promise<void> {
    if (this.sent !== undefined) await once(this.events, 'empty')
  }

  /** Those that the process did not take, when it has ended. */
  left(): readonly Socket[] {
    clearTimeout(this.rest)
    const left = [...(this.sent === undefined ? [] : [this.sent]), ...this.waiting.splice(0)]
    this.clear()
    this.events.emit('empty')
    return left
  }

  private clear(): void {
    clearTimeout(this.late)
    this.sent = undefined
  }

  private next(): void {
    if (this.sent !== undefined) return
    const socket = this.waiting.shift()
    if (socket === undefined) return void this.events.emit('empty')
    const { child, lateMs = LATE_MS } = this.options
    this.sent = socket
    this.late = setTimeout(() => this.isStanding(socket), lateMs).unref()
    // One that cannot be sent is one of those left: the process has ended.
    child.send(CONNECTION, socket, { keepOpen: true }, () => undefined)
  }

  /** The one under way may be there already, unread: only those behind it are for others. */
  private isStanding(socket: Socket): void {
    const { answer, spare, lost, restMs = REST_MS } = this.options
    this.stands = true
    spare(this.waiting.splice(0))
    const answered = () => {
      // With its answer it would have been taken: a process that has no descriptor left gets none, and does not hear of it.
      if (this.sent !== socket) return
      this.stands = false
      this.rest = setTimeout(() => {
        this.rest = undefined
      }, restMs).unref()
      this.clear()
      lost(socket)
      this.next()
    }
    // It has ended otherwise.
    answer().then(answered, () => undefined)
  }
}
