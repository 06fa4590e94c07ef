import type { Tensor } from '@tideway/core'
import { codeOf } from '@tideway/core'
import { ByteSource, plainBytes } from './bytes.js'
import { type ElementType, readElements } from './elements.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'

/** Element types by the third byte of the magic number. */
const TYPES: Readonly<Record<number, ElementType>> = {
  8: { dtype: 'uint8', bytes: 1, littleEndian: false },
  9: { dtype: 'int8', bytes: 1, littleEndian: false },
  11: { dtype: 'int16', bytes: 2, littleEndian: false },
  12: { dtype: 'int32', bytes: 4, littleEndian: false },
  13: { dtype: 'float32', bytes: 4, littleEndian: false },
  14: { dtype: 'float64', bytes: 8, littleEndian: false },
}
const MOST_AXES = 8

/**
 * Reads an IDX file, as MNIST's images and labels come (http://yann.lecun.com/exdb/mnist/), gzipped or not. Throws
 * `IDX_INVALID`, `DATA_LIMIT_EXCEEDED`.
 *
 * @example
 * const images = await readIdx('train-images-idx3-ubyte.gz') // uint8 [60000, 28, 28]
 */
export async function readIdx(path: string, options: { readonly limits?: Partial<DataLimits> } = {}): Promise<Tensor> {
  const limiter = new Limiter(path, options.limits)
  const problem = (issue: string, cause?: unknown) => errors.IDX_INVALID({ file: path, issues: [issue] }, cause)
  const source = new ByteSource(plainBytes(path, limiter, problem))
  try {
    const magic = await source.take(4)
    const [zero, none, code = 0, axes = 0] = magic
    const type = TYPES[code]
    if (magic.length < 4 || zero !== 0 || none !== 0 || type === undefined)
      throw problem('it does not begin as IDX does (two zero bytes, element type, number of sizes)')
    if (axes < 1 || axes > MOST_AXES) throw problem(`it claims ${axes} sizes; 1 to ${MOST_AXES} are read`)
    const sizes = await source.take(axes * 4)
    if (sizes.length < axes * 4) throw problem('it ends within its sizes')
    const shape = Array.from({ length: axes }, (_, axis) => sizes.readUInt32BE(axis * 4))
    const tensor = await readElements(source, type, shape, limiter, problem)
    if (!(await source.ended())) throw problem(`it goes on after the values of shape [${shape.join(', ')}]`)
    return tensor
  } catch (error) {
    throw codeOf(error) === undefined ? problem('its compression is broken', error) : error
  } finally {
    await source.close()
  }
}
