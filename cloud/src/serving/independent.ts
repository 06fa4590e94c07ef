import type { Session, Tensor, TensorSpec, Tensors } from '@tideway/core'
import { arrayClasses, elementCount } from '@tideway/core/serving'
import { joined, split, takesBatches } from './rows.js'

/** Of the largest value of an output: float32 sums in another order. */
const TOLERANCE = 1e-4

/**
 * Whether a row is answered as it would be alone, whatever rows it goes with: tried with two rows, apart and together. A free
 * first axis does not say so: it may be time (a sequence-first LSTM), and where scales are taken over all rows (int8-dynamic)
 * an answer would depend on who else asks. A model that fails on these rows is taken to need each alone.
 */
export async function answersRowsAlone(session: Session): Promise<boolean> {
  const { signature } = session
  if (!takesBatches(signature)) return false
  const rows = [1, 2].map(
    (row): Tensors => Object.fromEntries(signature.inputs.map((spec, place) => [spec.name, waves(spec, row, place)])),
  )
  try {
    const apart = [await session.run(rows[0] as Tensors), await session.run(rows[1] as Tensors)]
    const together = split(await session.run(joined(rows)), [1, 1])
    return together !== undefined && apart.every((outputs, at) => alike(outputs, together[at] as Tensors))
  } catch {
    return false
  }
}

/** One row that is unlike others: whole numbers are 0 and 1, which most indices may be. */
function waves({ dtype, shape }: TensorSpec, row: number, place: number): Tensor {
  const sizes = [1, ...shape.slice(1).map((size) => size ?? 1)]
  const count = elementCount(sizes)
  if (dtype === 'string') return { dtype, shape: sizes, data: Array.from({ length: count }, () => String(row)) }
  const data = new arrayClasses[dtype](count) as Float32Array
  const isFloat = dtype === 'float32' || dtype === 'float64'
  const isBig = dtype === 'int64' || dtype === 'uint64'
  for (let at = 0; at < count; at++) {
    const value = isFloat ? row * Math.sin(1 + at * 0.7 + place) : (at + row) % 2
    data[at] = (isBig ? BigInt(value) : value) as number
  }
  return { dtype, shape: sizes, data } as Tensor
}

function alike(a: Tensors, b: Tensors): boolean {
  return Object.entries(a).every(([name, { shape, data }]) => {
    const other = b[name]
    if (other === undefined || other.shape.join() !== shape.join()) return false
    const numbers = Array.from(data as ArrayLike<unknown>)
    const most = Math.max(1e-30, ...numbers.map((value) => Math.abs(Number(value)) || 0))
    return numbers.every((value, at) => {
      const mine = other.data[at]
      return Object.is(value, mine) || value === mine || Math.abs(Number(value) - Number(mine)) <= TOLERANCE * most
    })
  })
}
