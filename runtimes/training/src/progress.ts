import type { TrainContext, TrainProgress } from '@tideway/core'

/** Time between reports, but for the one at the end of each epoch. */
const INTERVAL_MS = 100

/** Where a part of a job stands in it. */
export interface Place {
  /** Epochs of the whole job. */
  readonly epochs: number
  /** Epochs and steps of the parts before. */
  readonly before: { readonly epochs: number; readonly steps: number }
}

/** Counts steps of a whole job and reports them, at most every 100 ms. */
export class Progress {
  private readonly started = performance.now()
  private reported = this.started
  private samples = 0
  private lossSum = 0
  private lossRows = 0

  /** Steps of the whole job: each part's epochs have as many. */
  private readonly steps: number

  constructor(
    private readonly report: TrainContext['onProgress'],
    private readonly place: Place,
    stepsPerEpoch: number,
    /** Steps of this part that the run which this one resumes had done: they say nothing of this one's pace. */
    private readonly done = 0,
  ) {
    const { epochs, before } = place
    this.steps = before.steps + (epochs - before.epochs) * stepsPerEpoch
  }

  get seconds(): number {
    return (performance.now() - this.started) / 1000
  }

  get samplesPerSecond(): number {
    return this.seconds > 0 ? this.samples / this.seconds : 0
  }

  /** At this part's pace. */
  private secondsLeft(step: number): number {
    const stepped = step - this.done
    const left = this.steps - this.place.before.steps - step
    return stepped > 0 ? (left * this.seconds) / stepped : 0
  }

  /** A step of this part was taken; epoch and step are counted in it, from 1. */
  step(epoch: number, step: number, loss: number, rows: number): void {
    this.samples += rows
    this.lossSum += loss * rows
    this.lossRows += rows
    if (performance.now() - this.reported >= INTERVAL_MS) this.send(epoch, step, {})
  }

  endOfEpoch(epoch: number, step: number, metrics: TrainProgress['metrics']): void {
    this.send(epoch, step, metrics)
  }

  private send(epoch: number, step: number, metrics: TrainProgress['metrics']): void {
    // An epoch's end may come right after a report: then there were no steps since, and its own loss stands.
    const loss = this.lossRows > 0 ? this.lossSum / this.lossRows : (metrics['loss'] ?? 0)
    const { epochs, before } = this.place
    this.report?.({
      epoch: before.epochs + epoch,
      epochs,
      step: before.steps + step,
      steps: this.steps,
      loss,
      samplesPerSecond: this.samplesPerSecond,
      secondsLeft: this.secondsLeft(step),
      metrics,
    })
    this.lossSum = 0
    this.lossRows = 0
    this.reported = performance.now()
  }
}
