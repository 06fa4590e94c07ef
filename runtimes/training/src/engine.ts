import type { LossConfig, ResolvedOptimizer, TrainData } from '@tideway/core'
import type { Feeder } from './batches/feeder.js'
import type { Checkpoint } from './checkpoint.js'
import type { RowsType } from './graphs/names.js'
import type { Layout } from './layout.js'
import type { Trainable } from './trainable.js'

export type Arrays = Readonly<Record<string, Float32Array>>

/** What a run is begun with, by name: given away, as the arrays of trained parameters and of state may be freed. */
export interface InitialTensors {
  readonly parameters: Arrays
  readonly state: Arrays
  readonly statistics: Arrays
}

/** What an engine is to train. */
export interface EngineOrder {
  readonly loss: LossConfig
  readonly optimizer: ResolvedOptimizer
  readonly network: Trainable
  readonly layout: Layout
  readonly rowsType: RowsType
  readonly batchSize: number
  readonly seed: number
  /** Makes the batches, so many to a run of the engine as `stepsARun` says. */
  readonly feeder: (stepsARun: number) => Feeder
  readonly initial: InitialTensors
}

/** A batch that was trained on. */
export interface TrainedBatch {
  readonly loss: number
  readonly rows: number
  /** The step that it is of. */
  readonly step: number
}

/** Parameters, optimizer state and statistics as they are between epochs, by name. */
export interface TrainedWeights {
  /** The current parameters, and the frozen ones: views, which the next step may change. */
  parameters(): Arrays
  /** The current optimizer state, by `<parameter>_<state>`. */
  state(): Arrays
  statistics(): Arrays
  /** The average of each trained parameter after so many steps, where it is kept: new arrays. */
  averages(steps: number): Arrays
  /** What is shipped after so many steps: copies of what a step writes, averages in their place where they are kept. */
  shipped(steps: number): Arrays
  /** Gives a statistic other values. */
  set(statistic: string, values: Float32Array): void
  /** Whether no step writes a parameter. */
  isFrozen(name: string): boolean
  /** Frees everything but frozen parameters, when a copy is all that is needed. */
  drop(): void
}

/** What takes the steps of a run. */
export interface TrainEngine {
  /** Steps of an epoch. */
  readonly steps: number
  readonly weights: TrainedWeights
  /** What bit-identity depends on; kept in checkpoints. */
  readonly environment: Checkpoint['environment']
  /** One epoch, counted from 0, its steps from `first` on; at its end `weights` shows what it came to. */
  epoch(epoch: number, first: number, rate: (step: number) => number): AsyncIterable<TrainedBatch>
  /** Mean loss over all rows, and for classes the share of rows that are right, with these parameters and statistics. */
  evaluate(data: TrainData, tensors: Arrays): Promise<{ readonly loss: number; readonly accuracy?: number }>
  /** The statistics that a network has estimated (`Trainable.estimated`), with these parameters and other statistics. */
  estimate(data: TrainData, tensors: Arrays): Promise<ReadonlyMap<string, Float32Array>>
  /** Frees what it holds; the engine is done. */
  dispose(): Promise<void>
}
