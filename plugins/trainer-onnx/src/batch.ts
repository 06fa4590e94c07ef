import type { TrainData } from '@tideway/core'
import { elements, FEED, type Feeder } from '@tideway/training'
import { Tensor } from 'onnxruntime-node'

type Numbers = Float32Array | Uint8Array | Int32Array
export type Feeds = Readonly<Record<string, Tensor>>

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array } as const

/** A batch's tensors, allocated once and filled with other rows for each step. */
export class Batch {
  readonly inputs: Float32Array | Uint8Array
  readonly targets: Numbers
  readonly feeds: Feeds

  constructor({ inputs, targets }: Pick<Feeder, 'inputs' | 'targets'>, rows: number) {
    this.inputs = new ARRAYS[inputs.dtype](rows * elements(inputs.shape))
    this.targets = new ARRAYS[targets.dtype](rows * elements(targets.shape))
    this.feeds = feedsOf(rows, inputs, this.inputs, targets, this.targets)
  }
}

/** Rows of data as they lie there, from a place on. */
export function rowsOf({ inputs, targets }: TrainData, begin: number, rows: number): Feeds {
  const part = (numbers: Numbers, shape: readonly number[]): Numbers => {
    const width = elements(shape.slice(1))
    return numbers.subarray(begin * width, (begin + rows) * width)
  }
  const row = ({ dtype, shape }: TrainData['inputs']) => ({ dtype, shape: shape.slice(1) })
  return feedsOf(
    rows,
    row(inputs),
    part(inputs.data as Numbers, inputs.shape),
    row(targets),
    part(targets.data as Numbers, targets.shape),
  )
}

/** At most so many rows, spread evenly over all. */
export function someRows({ inputs, targets }: TrainData, count: number): TrainData {
  const total = inputs.shape[0] ?? 0
  const rows = Math.min(total, count)
  const some = ({ dtype, shape, data }: TrainData['inputs']): TrainData['inputs'] => {
    const width = elements(shape.slice(1))
    const all = data as Numbers
    const picked = all.slice(0, rows * width)
    for (let row = 0; row < rows; row++) {
      const from = Math.floor((row * total) / rows) * width
      picked.set(all.subarray(from, from + width), row * width)
    }
    return { dtype, shape: [rows, ...shape.slice(1)], data: picked } as TrainData['inputs']
  }
  return { inputs: some(inputs), targets: some(targets) }
}

interface RowSpec {
  readonly dtype: string
  readonly shape: readonly number[]
}

function feedsOf(rows: number, inputs: RowSpec, from: Numbers, targets: RowSpec, wanted: Numbers): Feeds {
  const tensor = ({ dtype, shape }: RowSpec, data: Numbers): Tensor =>
    new Tensor(dtype as 'float32', data as Float32Array, [rows, ...shape])
  return { [FEED.rows]: tensor(inputs, from), [FEED.targets]: tensor(targets, wanted) }
}

/** An input that no node uses is not the session's: SGD takes no step number. One not declared would be refused. */
export function only(names: ReadonlySet<string>, feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.has(name)))
}
