import type { TrainData } from '@tideway/core'
import {
  type Arrays,
  CORRECT,
  type EngineOrder,
  estimationGraph,
  evaluationGraph,
  LOSS,
  nextOf,
  type RowsType,
} from '@tideway/training'
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import { type Feeds, only, rowsOf, someRows } from './batch.js'

/** Rows evaluated at once. */
const EVALUATION_ROWS = 1024
/** Rows that statistics are estimated on, and how many of them at once at least: as many as a batch holds take no more room. */
const ESTIMATION = { rows: 2048, atOnce: 64 } as const

export interface EvaluatorOptions extends Pick<EngineOrder, 'loss' | 'network' | 'batchSize'> {
  readonly session: (model: Uint8Array) => Promise<InferenceSession>
  /** Operators that the engine has no kernel for. */
  readonly without?: ReadonlySet<string>
  /** Puts tensors where the engine computes; left out: they stay where they are. */
  readonly upload?: (feeds: Feeds) => Promise<Feeds>
}

/** What an engine computes between epochs, of parameters and statistics that it is given. */
export class Evaluator {
  private evaluation: Promise<InferenceSession> | undefined
  private estimation: Promise<InferenceSession> | undefined

  constructor(private readonly options: EvaluatorOptions) {}

  /** Loads what will be needed: an engine that cannot take it says so before the first epoch. */
  async prepare(rowsType: RowsType): Promise<void> {
    await this.loadEvaluation(rowsType)
    if ((this.options.network.estimated ?? []).length > 0) await this.loadEstimation(rowsType)
  }

  /** Mean loss over all rows, and for classes the share of rows that are right. */
  async evaluate(data: TrainData, tensors: Arrays): Promise<{ readonly loss: number; readonly accuracy?: number }> {
    const session = await this.loadEvaluation(data.inputs.dtype as RowsType)
    const names = new Set(session.inputNames)
    const given = await this.given(names, tensors)
    const total = data.inputs.shape[0] ?? 0
    let loss = 0
    let correct: number | undefined
    for (let begin = 0; begin < total; begin += EVALUATION_ROWS) {
      const rows = Math.min(EVALUATION_ROWS, total - begin)
      const out = await session.run({ ...given, ...only(names, rowsOf(data, begin, rows)) })
      loss += Number(out[LOSS]?.data[0]) * rows
      const right = out[CORRECT]
      if (right !== undefined) correct = (correct ?? 0) + Number(right.data[0])
    }
    dispose(given)
    return { loss: loss / total, ...(correct === undefined ? {} : { accuracy: correct / total }) }
  }

  /** The statistics that a network has estimated, of rows as they are. */
  async estimate(data: TrainData, tensors: Arrays): Promise<ReadonlyMap<string, Float32Array>> {
    const { network, batchSize } = this.options
    const means = new Map<string, Float32Array>()
    if (network.estimated === undefined || network.estimated.length === 0) return means
    const session = await this.loadEstimation(data.inputs.dtype as RowsType)
    const names = new Set(session.inputNames)
    const given = await this.given(names, tensors)
    const some = someRows(data, ESTIMATION.rows)
    const total = some.inputs.shape[0] ?? 0
    // Of all the same size, or nearly: a few rows that are left over have no variance to speak of.
    const runs = Math.max(1, Math.floor(total / Math.max(batchSize, ESTIMATION.atOnce)))
    for (let run = 0; run < runs; run++) {
      const begin = Math.floor((run * total) / runs)
      const rows = Math.floor(((run + 1) * total) / runs) - begin
      const out = await session.run({ ...given, ...only(names, rowsOf(some, begin, rows)) })
      for (const name of network.estimated) {
        const seen = out[nextOf(name)]?.data as Float32Array
        const before = means.get(name)
        means.set(
          name,
          seen.map((value, at) => (before?.[at] ?? 0) + (value * rows) / total),
        )
      }
    }
    dispose(given)
    return means
  }

  private loadEvaluation(rowsType: RowsType): Promise<InferenceSession> {
    const { loss, network, without, session } = this.options
    this.evaluation ??= session(evaluationGraph({ loss, without }, network, rowsType))
    return this.evaluation
  }

  private loadEstimation(rowsType: RowsType): Promise<InferenceSession> {
    const { network, without, session } = this.options
    this.estimation ??= session(estimationGraph(network, rowsType, { without }))
    return this.estimation
  }

  /** Parameters and statistics that a session takes. */
  private async given(names: ReadonlySet<string>, tensors: Arrays): Promise<Feeds> {
    const { network, upload } = this.options
    const shapes = [...network.parameters, ...network.statistics].filter(({ name }) => names.has(name))
    const feeds = Object.fromEntries(
      shapes.map(({ name, shape }) => [name, new Tensor('float32', tensors[name] as Float32Array, shape)]),
    )
    return upload === undefined ? feeds : upload(feeds)
  }
}

function dispose(feeds: Feeds): void {
  for (const tensor of Object.values(feeds)) tensor.dispose()
}
