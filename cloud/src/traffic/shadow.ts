import { setTimeout as pause } from 'node:timers/promises'
import type { InferResult, ShadowCounts, Tensors, Tolerance } from '@tideway/core'
import { agree } from '@tideway/core/versions'

/** What waits to be mirrored, at most. */
const MAX_WAITING = 64
const MAX_WAITING_BYTES = 64 * 1024 ** 2
/** For how long a mirrored request gives way to real ones, and how often it looks. */
const GIVE_WAY_MS = 100
const LOOK_MS = 5

type Answer = Pick<InferResult, 'outputs' | 'timing'>

export interface ShadowOptions {
  /** Of the requests. */
  readonly percent: number
  readonly tolerance: Tolerance
  readonly run: (inputs: Tensors) => Promise<Answer>
  /** Whether no real request is under way. */
  readonly isIdle: () => boolean
  /** In [0, 1). */
  readonly random: () => number
}

interface Mirrored {
  readonly inputs: Tensors
  readonly answer: Answer
  readonly bytes: number
  readonly since: number
}

/**
 * Requests that were answered are run again by a version that never answers, and what it says is compared. One at a time,
 * while no real request is under way, or after giving way for a tenth of a second: so at most ten a second while the
 * process is never idle. What finds the queue full is dropped and counted.
 */
export class Shadow {
  private readonly waiting: Mirrored[] = []
  private waitingBytes = 0
  private working: Promise<void> | undefined
  private agreed = 0
  private differed = 0
  private failed = 0
  private dropped = 0
  /** Nanoseconds a row, summed over the same requests. */
  private readonly runs = { answer: 0, shadow: 0 }

  constructor(private readonly options: ShadowOptions) {}

  /** Never throws, and runs nothing in this turn of the event loop: the answer goes out first. */
  offer(inputs: Tensors, answer: Answer): void {
    const { percent, random } = this.options
    if (percent < 100 && random() * 100 >= percent) return
    const bytes = bytesOf(inputs) + bytesOf(answer.outputs)
    if (this.waiting.length >= MAX_WAITING || this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.dropped++
      return
    }
    this.waiting.push({ inputs, answer, bytes, since: performance.now() })
    this.waitingBytes += bytes
    this.working ??= this.work()
  }

  get counts(): ShadowCounts {
    const { agreed, differed, failed, dropped, runs } = this
    const latencyRatio = runs.answer > 0 ? runs.shadow / runs.answer : undefined
    return { agreed, differed, failed, dropped, ...(latencyRatio !== undefined && { latencyRatio }) }
  }

  /** Drops what waits, and lets what runs end. */
  async close(): Promise<void> {
    this.dropped += this.waiting.length
    this.waiting.length = 0
    this.waitingBytes = 0
    await this.working
  }

  private async work(): Promise<void> {
    for (;;) {
      const [next] = this.waiting
      if (next === undefined) break
      await pause(0)
      while (!this.options.isIdle() && performance.now() - next.since < GIVE_WAY_MS) await pause(LOOK_MS)
      // It may have been closed meanwhile.
      if (this.waiting[0] !== next) continue
      this.waiting.shift()
      this.waitingBytes -= next.bytes
      await this.compare(next)
    }
    this.working = undefined
  }

  private async compare({ inputs, answer }: Mirrored): Promise<void> {
    try {
      const mirrored = await this.options.run(inputs)
      if (agree(answer.outputs, mirrored.outputs, this.options.tolerance)) this.agreed++
      else this.differed++
      if (answer.timing === undefined || mirrored.timing === undefined) return
      // An answer that was kept took no run.
      if (answer.timing.cache?.result === 'hit') return
      this.runs.answer += answer.timing.runNs / answer.timing.batchSize
      this.runs.shadow += mirrored.timing.runNs / mirrored.timing.batchSize
    } catch {
      this.failed++
    }
  }
}

function bytesOf(tensors: Tensors): number {
  return Object.values(tensors).reduce((sum, { data }) => sum + sizeOf(data), 0)
}

function sizeOf(data: Tensors[string]['data']): number {
  return 'byteLength' in data ? data.byteLength : data.reduce((sum, text) => sum + 2 * text.length, 0)
}
