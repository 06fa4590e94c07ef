import { numberToHalf, type Session, type Signature, type Tensor, type TensorSpec, type Tensors } from '@tideway/core'
import { arrayClasses, elementCount } from '@tideway/core/serving'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { cloudErrors } from '../errors.js'
import { KNOWN_ROWS } from '../pipeline/known-answers.js'
import { takesBatches } from '../serving/rows.js'

const SEED = 1
const STEPS = 2 ** 20

/**
 * Inputs that nobody gave, the same each time: numbers of -1 to 1, whole numbers of 0 and 1, which most indices may be. Eight rows
 * where the model takes any number of them, else as its signature says, sizes that are free being 1. Throws `ROWS_NEEDED` where
 * it does not run on them, or answers with numbers that are not finite.
 */
export async function madeUpInputs(session: Session): Promise<Tensors> {
  const { signature } = session
  const inputs = drawn(signature, takesBatches(signature) ? KNOWN_ROWS : 1)
  const outputs = await session.run(inputs).catch((error: unknown) => {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw cloudErrors.ROWS_NEEDED({ reason }, error)
  })
  for (const [name, { dtype, data }] of Object.entries(outputs))
    if (/^float(32|64)$/.test(dtype) && !(data as Float32Array).every(Number.isFinite))
      throw cloudErrors.ROWS_NEEDED({ reason: `output "${name}" has numbers that are not finite` })
  return inputs
}

function drawn({ inputs }: Signature, rows: number): Tensors {
  const random = xoroshiro128plus(SEED)
  const whole = (most: number) => uniformInt(random, 0, most)
  return Object.fromEntries(inputs.map((spec) => [spec.name, tensorOf(spec, rows, whole)]))
}

function tensorOf({ dtype, shape }: TensorSpec, rows: number, whole: (most: number) => number): Tensor {
  const sizes = shape.map((size, axis) => size ?? (axis === 0 ? rows : 1))
  const count = elementCount(sizes)
  const share = () => (2 * whole(STEPS)) / STEPS - 1
  if (dtype === 'string') return { dtype, shape: sizes, data: Array.from({ length: count }, () => String(whole(1))) }
  const isBig = dtype === 'int64' || dtype === 'uint64'
  const draw = { float16: () => numberToHalf(share()), float32: share, float64: share }[dtype as string]
  const data = new arrayClasses[dtype](count) as Float32Array
  for (let at = 0; at < count; at++) {
    const value = draw?.() ?? whole(1)
    data[at] = (isBig ? BigInt(value) : value) as number
  }
  return { dtype, shape: sizes, data } as Tensor
}
