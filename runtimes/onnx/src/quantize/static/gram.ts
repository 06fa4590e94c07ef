import { create } from '@bufbuild/protobuf'
import type { Runtime, Session } from '@tideway/core'
import { makeNode } from '../../format/node.js'
import { valueInfo } from '../../format/signature.js'
import { writeModel } from '../../format/write.js'
import { ModelSchema } from '../../generated/onnx_pb.js'
import { using } from './rows.js'

/** Below so many columns a loop is done before a session has started. */
const MIN_COLUMNS = 48

/** The products of each column of a matrix with each, as a sum over rows, row-major: xᵀ x. */
export type Gram = (x: Float32Array, columns: number) => Promise<ArrayLike<number>>

/** Gives `use` a way to multiply: in the runtime, whose matrix product is some twenty times as fast as a loop here. */
export function withGram<T>(runtime: Runtime, use: (gram: Gram) => Promise<T>): Promise<T> {
  const shape = [null, null]
  const graph = {
    name: 'gram',
    node: [makeNode('Gemm', ['x', 'x'], ['y'], { transA: 1n })],
    input: [valueInfo({ name: 'x', dtype: 'float32', shape })],
    output: [valueInfo({ name: 'y', dtype: 'float32', shape })],
  }
  const model = create(ModelSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }], graph })
  return using(runtime, writeModel(model), (session) =>
    use((x, columns) => (columns < MIN_COLUMNS ? Promise.resolve(gramOf(x, columns)) : product(session, x, columns))),
  )
}

async function product(session: Session, data: Float32Array, columns: number): Promise<ArrayLike<number>> {
  const { y } = await session.run({ x: { dtype: 'float32', shape: [data.length / columns, columns], data } })
  return y?.dtype === 'float32' ? y.data : gramOf(data, columns)
}

/** The same by a loop. */
export function gramOf(x: Float32Array, columns: number): Float64Array {
  const sums = new Float64Array(columns * columns)
  for (let begin = 0; begin < x.length; begin += columns) {
    for (let i = 0; i < columns; i++) {
      const left = x[begin + i] ?? 0
      if (left === 0) continue
      for (let j = i; j < columns; j++)
        sums[i * columns + j] = (sums[i * columns + j] ?? 0) + left * (x[begin + j] ?? 0)
    }
  }
  for (let i = 0; i < columns; i++) for (let j = 0; j < i; j++) sums[i * columns + j] = sums[j * columns + i] ?? 0
  return sums
}
