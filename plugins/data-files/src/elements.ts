import { arrayClasses, elementCount, type NumericType, type Tensor } from '@tideway/core'
import type { ByteSource } from './bytes.js'
import type { Limiter } from './limits.js'

/** How elements lie in a file. */
export interface ElementType {
  readonly dtype: NumericType
  readonly bytes: number
  readonly littleEndian: boolean
}

/**
 * Reads a tensor's elements; `problem` says why it cannot. A claimed shape costs nothing before its bytes have come.
 */
export async function readElements(
  source: ByteSource,
  { dtype, bytes, littleEndian }: ElementType,
  shape: readonly number[],
  limiter: Limiter,
  problem: (issue: string) => Error,
): Promise<Tensor> {
  const count = elementCount(shape)
  limiter.check('maxRows', shape[0] ?? 1)
  limiter.check('maxDecodedBytes', count * bytes)
  const read = await source.take(count * bytes)
  if (read.length < count * bytes)
    throw problem(`it ends after ${read.length} of ${count * bytes} bytes of values (shape [${shape.join(', ')}])`)
  // A copy of its own: typed arrays want aligned bytes, and the buffer may be a view of a larger one.
  const own = new Uint8Array(read.length)
  own.set(read)
  if (!littleEndian) swap(own, bytes)
  if (dtype === 'bool' && own.some((value) => value > 1)) throw problem('a bool is neither 0 nor 1')
  return { dtype, shape: [...shape], data: new arrayClasses[dtype](own.buffer, 0, count) } as Tensor
}

/** Typed arrays are in the machine's order, which is little-endian wherever Node runs. */
function swap(data: Uint8Array, bytes: number): void {
  const view = Buffer.from(data.buffer)
  if (bytes === 2) view.swap16()
  else if (bytes === 4) view.swap32()
  else if (bytes === 8) view.swap64()
}
