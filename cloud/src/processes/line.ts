import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { CONNECTION } from './messages.js'

/** After this, in milliseconds, it is asked whether a connection that is not taken was lost on its way. */
const LATE_MS = 2_000

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

  /** `answer` asks the process for a sign of life, which comes behind all that was sent to it before; `lost` is told of one. */
  constructor(
    private readonly child: Pick<ChildProcess, 'send'>,
    private readonly answer: () => Promise<unknown>,
    private readonly lost: () => void,
    private readonly lateMs = LATE_MS,
  ) {}

  add(socket: Socket): void {
    this.waiting.push(socket)
    this.next()
  }

  /** The process has the one under way. */
  taken(): void {
    clearTimeout(this.late)
    this.sent?.destroy()
    this.sent = undefined
    this.next()
  }

  /** Resolves when the process has them all. */
  async emptied(): Promise<void> {
    if (this.sent !== undefined) await once(this.events, 'empty')
  }

  /** Those that the process did not take, when it has ended: nothing has been read of them. */
  rest(): readonly Socket[] {
    clearTimeout(this.late)
    const rest = [...(this.sent === undefined ? [] : [this.sent]), ...this.waiting.splice(0)]
    this.sent = undefined
    this.events.emit('empty')
    return rest
  }

  private next(): void {
    if (this.sent !== undefined) return
    const socket = this.waiting.shift()
    if (socket === undefined) return void this.events.emit('empty')
    this.sent = socket
    this.late = setTimeout(() => this.ask(socket), this.lateMs).unref()
    // One that cannot be sent is one of the rest: the process has ended.
    this.child.send(CONNECTION, socket, { keepOpen: true }, () => undefined)
  }

  /** A process that has no descriptor left gets none, and does not hear of it. */
  private ask(socket: Socket): void {
    const answered = () => {
      // What it was sent before its answer, it would have taken.
      if (this.sent !== socket) return
      this.lost()
      this.taken()
    }
    // It has ended otherwise.
    this.answer().then(answered, () => undefined)
  }
}
