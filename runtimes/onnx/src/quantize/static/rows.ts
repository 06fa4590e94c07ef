import { create } from '@bufbuild/protobuf'
import { elementCount, type Runtime, type Session, type Signature, type Tensor, type Tensors } from '@tideway/core'
import { errors } from '../../errors.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import { writeModel } from '../../format/write.js'
import { type Graph, type Model, ValueInfoSchema } from '../../generated/onnx_pb.js'

export type FloatTensor = Tensor & { readonly dtype: 'float32' }

export type Whole = Model & { readonly graph: Graph }

/** Rows in one run, unless the signature fixes the number. */
const MAX_ROWS = 256

/** What the tensors that are looked at may take of memory in one run. */
const MAX_BYTES = 32 * 1024 * 1024

/** The same graph with these float32 tensors, and nothing else, as its outputs. */
export function withOutputs(model: Whole, names: readonly string[]): Uint8Array {
  const tensorType = { elemType: ELEMENT_TYPE.float32 }
  const output = names.map((name) =>
    create(ValueInfoSchema, { name, type: { value: { case: 'tensorType', value: tensorType } } }),
  )
  return writeModel({ ...model, graph: { ...model.graph, output } })
}

/**
 * Runs calibration rows through a session, in runs of a size that keeps the outputs below 32 MiB, and gives each run's
 * inputs and outputs. Where the model fixes the number of rows, the last run overlaps the one before, so that every row
 * is seen and none is made up.
 */
export async function* runRows(
  session: Session,
  signature: Signature,
  rows: Tensors,
  feeds: Tensors = {},
): AsyncGenerator<Tensors> {
  const count = rowsOf(signature, rows)
  const fixed = signature.inputs.find((spec) => spec.shape[0] !== null)?.shape[0] ?? undefined
  let size = fixed ?? 1
  for (let begin = 0; begin < count; ) {
    const from = fixed === undefined ? begin : Math.min(begin, Math.max(0, count - size))
    const to = Math.min(count, from + size)
    const batch = Object.fromEntries(signature.inputs.map(({ name }) => [name, slice(rows[name], from, to)]))
    const outputs = await session.run({ ...batch, ...feeds })
    yield { ...batch, ...outputs }
    begin += size
    if (fixed === undefined) {
      const bytes = Object.values(outputs).reduce((sum, { data }) => sum + data.length * 4, 0)
      size = Math.max(1, Math.min(MAX_ROWS, Math.floor(MAX_BYTES / Math.max(1, bytes / (to - from)))))
    }
  }
}

export const rowsOf = (signature: Signature, rows: Tensors): number =>
  rows[signature.inputs[0]?.name ?? '']?.shape[0] ?? 0

/** At most `count` rows, spread evenly over all; never fewer than the model takes at once. */
export function someRows(signature: Signature, rows: Tensors, count: number): Tensors {
  const all = rowsOf(signature, rows)
  const fewest = Math.max(1, ...signature.inputs.map((spec) => spec.shape[0] ?? 1))
  const wanted = Math.min(all, Math.max(count, fewest))
  if (wanted === all) return rows
  const chosen = Array.from({ length: wanted }, (_, at) => Math.floor((at * all) / wanted))
  return Object.fromEntries(signature.inputs.map(({ name }) => [name, pick(rows[name], chosen)]))
}

function slice(tensor: Tensor | undefined, from: number, to: number): Tensor {
  const known = checked(tensor)
  const width = elementCount(known.shape.slice(1))
  const shape = [to - from, ...known.shape.slice(1)]
  const data =
    known.dtype === 'string'
      ? known.data.slice(from * width, to * width)
      : known.data.subarray(from * width, to * width)
  return { dtype: known.dtype, shape, data } as Tensor
}

function pick(tensor: Tensor | undefined, chosen: readonly number[]): Tensor {
  const known = checked(tensor)
  const width = elementCount(known.shape.slice(1))
  const shape = [chosen.length, ...known.shape.slice(1)]
  if (known.dtype === 'string')
    return { dtype: 'string', shape, data: chosen.flatMap((row) => known.data.slice(row * width, (row + 1) * width)) }
  const data = known.data.slice(0, chosen.length * width)
  for (const [to, row] of chosen.entries())
    data.set(known.data.subarray(row * width, (row + 1) * width) as never, to * width)
  return { dtype: known.dtype, shape, data } as Tensor
}

function checked(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw errors.CALIBRATION_INVALID({ issues: ['an input is missing'] })
  return tensor
}

/** Loads, uses and disposes a model. */
export async function using<T>(runtime: Runtime, bytes: Uint8Array, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await runtime.load(bytes)
  try {
    return await use(session)
  } finally {
    await session.dispose()
  }
}
