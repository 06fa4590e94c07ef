import { create } from '@bufbuild/protobuf'
import { elementCount, type Runtime, type Signature, type Tensor, type Tensors, tensorIssues } from '@tideway/core'
import { errors } from '../errors.js'
import { ELEMENT_TYPE } from '../format/types.js'
import { writeModel } from '../format/write.js'
import { type Graph, type Model, ValueInfoSchema } from '../generated/onnx_pb.js'
import type { MayMiss } from './missing.js'
import { RangeObserver } from './ranges.js'

/** Rows in one run of the float model, unless its signature fixes the number. */
const BATCH_ROWS = 256

/**
 * Throws `CALIBRATION_INVALID` naming every input that is missing, unknown, or has no rows, another number of rows than
 * the first, a wrong type or shape, or values that are not finite, but for NaN where the model fills missing values.
 */
export function checkCalibration(signature: Signature, calibration: Tensors, mayMiss: MayMiss): void {
  const issues: string[] = []
  const counts = new Map<string, number>()
  for (const { name, dtype, shape } of signature.inputs) {
    const tensor = calibration[name]
    if (tensor === undefined) issues.push(`${name}: is missing`)
    else if (shape.length === 0) issues.push(`${name}: is a scalar, which has no rows`)
    else {
      const filled = (place: number) => shape.length === 2 && mayMiss(name, place)
      const wrong = tensorIssues(tensor, { dtype, shape: [null, ...shape.slice(1)] })
      issues.push(
        ...[...wrong, ...(wrong.length > 0 ? [] : valueIssues(tensor, shape[0] ?? 1, filled))].map(
          (w) => `${name}: ${w}`,
        ),
      )
      if (wrong.length === 0) counts.set(name, tensor.shape[0] ?? 0)
    }
  }
  const [first, ...others] = counts
  for (const [name, rows] of others) {
    if (rows !== first?.[1]) issues.push(`${name}: has ${rows} rows where ${first?.[0]} has ${first?.[1]}`)
  }
  const known = new Set(signature.inputs.map((spec) => spec.name))
  for (const name of Object.keys(calibration))
    if (!known.has(name)) issues.push(`${name}: is not an input of this model`)
  if (issues.length > 0) throw errors.CALIBRATION_INVALID({ issues })
}

function valueIssues({ data, shape }: Tensor, fewest: number, isFilled: (place: number) => boolean): string[] {
  const rows = shape[0] ?? 0
  if (rows === 0) return ['has no rows']
  if (rows < fewest) return [`has ${rows} rows; the model takes ${fewest} at once`]
  const width = data.length / rows
  const filled = new Map<number, boolean>()
  const isMissing = (value: number, place: number): boolean => {
    if (!Number.isNaN(value)) return false
    if (!filled.has(place)) filled.set(place, isFilled(place))
    return filled.get(place) === true
  }
  const bad = data.findIndex(
    (value: unknown, at: number) =>
      typeof value === 'number' && !Number.isFinite(value) && !isMissing(value, at % width),
  )
  return bad < 0 ? [] : [`row ${Math.floor(bad / width)} holds a value that is not finite`]
}

/**
 * Runs the calibration rows through the float model, with the named tensors as its outputs, and returns what was seen
 * of each. Checked calibration only. Throws `CALIBRATION_INVALID` when the model makes NaN or infinity of the rows.
 */
export async function observe(
  model: Model & { graph: Graph },
  signature: Signature,
  names: ReadonlySet<string>,
  calibration: Tensors,
  runtime: Runtime,
): Promise<ReadonlyMap<string, RangeObserver>> {
  const observers = new Map([...names].map((name) => [name, new RangeObserver()]))
  const inner = [...names].filter((name) => calibration[name] === undefined)
  const session = inner.length === 0 ? undefined : await runtime.load(probe(model, inner))
  try {
    for (const pass of ['see', 'count'] as const) {
      for (const rows of batches(signature, calibration)) {
        const tensors: Tensors = session === undefined ? rows : { ...rows, ...(await session.run(rows)) }
        for (const [name, observer] of observers) {
          const tensor = tensors[name]
          if (tensor?.dtype === 'float32') observer[pass](tensor.data, tensor.shape.length)
        }
      }
      const bad = [...observers].filter(([, observer]) => observer.bad > 0)
      const issues = bad.map(
        ([name, { bad: count }]) => `${name}: the model makes ${count} values of it that are not finite`,
      )
      if (issues.length > 0) throw errors.CALIBRATION_INVALID({ issues })
    }
  } finally {
    await session?.dispose()
  }
  return observers
}

/** The float model with these tensors, and nothing else, as its outputs. */
export function probe(model: Model & { graph: Graph }, names: readonly string[]): Uint8Array {
  const tensorType = { elemType: ELEMENT_TYPE.float32 }
  const output = names.map((name) =>
    create(ValueInfoSchema, { name, type: { value: { case: 'tensorType', value: tensorType } } }),
  )
  return writeModel({ ...model, graph: { ...model.graph, output } })
}

/**
 * The rows in runs of equal size where the model fixes it. The last run then overlaps the one before, so that every row
 * is seen and none is made up.
 */
export function* batches(signature: Signature, calibration: Tensors): Generator<Tensors> {
  const rows = calibration[signature.inputs[0]?.name ?? '']?.shape[0] ?? 0
  const fixed = signature.inputs.find((spec) => spec.shape[0] !== null)?.shape[0]
  const size = fixed ?? BATCH_ROWS
  for (let begin = 0; begin < rows; begin += size) {
    const from = fixed === undefined || fixed === null ? begin : Math.min(begin, rows - size)
    const to = Math.min(rows, from + size)
    yield Object.fromEntries(signature.inputs.map(({ name }) => [name, slice(calibration[name], from, to)]))
  }
}

function slice(tensor: Tensor | undefined, from: number, to: number): Tensor {
  if (tensor === undefined) throw errors.CALIBRATION_INVALID({ issues: ['an input is missing'] })
  const width = elementCount(tensor.shape.slice(1))
  const shape = [to - from, ...tensor.shape.slice(1)]
  const data =
    tensor.dtype === 'string'
      ? tensor.data.slice(from * width, to * width)
      : tensor.data.subarray(from * width, to * width)
  return { dtype: tensor.dtype, shape, data } as Tensor
}
