/** What one run of an engine gave. */
export interface Outcome {
  /** Setting up an engine is not counted, nor is its first epoch, in which it does so. */
  readonly samplesPerSecond: number
  /** Mean loss over the last epoch. */
  readonly finalLoss: number
  readonly threads: number
  /** Of the engine and what multiplies its matrices. */
  readonly engineVersion: string
}
