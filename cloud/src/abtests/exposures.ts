import type { AbTestStore, Logger } from '@tideway/core'

/** How long a unit waits for others to be written with it: what a process that is killed forgets. */
const WAIT_MS = 100
/** Units that are remembered as written, and that wait at most; each is some hundred bytes. */
const MAX_KNOWN = 100_000
const MAX_WAITING = 100_000

/**
 * Which units were answered under an A/B test, written in batches beside the requests. The store is asked once for each unit,
 * and keeps it once; a unit that is not written is one whose outcome is refused, whatever its arm.
 */
export class Exposures {
  private readonly known = new Set<string>()
  private readonly waiting = new Map<string, string[]>()
  private waitingUnits = 0
  private lost = 0
  private timer: NodeJS.Timeout | undefined
  private writing: Promise<void> = Promise.resolve()

  constructor(
    private readonly store: () => Pick<AbTestStore, 'expose'>,
    private readonly logger: () => Pick<Logger, 'error'>,
  ) {}

  /** Takes no time of the request that it is called in. */
  saw(test: string, unit: string): void {
    const key = `${test} ${unit}`
    if (this.known.has(key)) return
    if (this.waitingUnits >= MAX_WAITING) {
      this.lost++
      return
    }
    if (this.known.size >= MAX_KNOWN) this.known.clear()
    this.known.add(key)
    const units = this.waiting.get(test) ?? []
    this.waiting.set(test, units)
    units.push(unit)
    this.waitingUnits++
    this.timer ??= setTimeout(() => void this.flush(), WAIT_MS).unref()
  }

  /** Writes what waits; when it resolves, all that was seen before is written, or will be tried again. */
  flush(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    this.writing = this.writing.then(() => this.write())
    return this.writing
  }

  private async write(): Promise<void> {
    const batches = [...this.waiting]
    this.waiting.clear()
    this.waitingUnits = 0
    for (const [test, units] of batches) {
      try {
        await this.store().expose(test, units)
      } catch (error) {
        this.again(test, units)
        this.logger().error('units of an A/B test are not written yet', {
          test,
          units: units.length,
          error: String(error),
        })
      }
    }
    if (this.lost === 0) return
    this.logger().error('units of A/B tests were not remembered: their outcomes will be unknown', { units: this.lost })
    this.lost = 0
  }

  /** They are asked for again by the next requests for them, too, were they to be lost. */
  private again(test: string, units: readonly string[]): void {
    for (const unit of units) this.known.delete(`${test} ${unit}`)
    for (const unit of units) this.saw(test, unit)
  }
}
