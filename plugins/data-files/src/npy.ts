import { elementCount, type Tensor } from '@tideway/core'
import { ByteSource, fileBytes, type Refuse } from './bytes.js'
import { readElements } from './elements.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'
import { parseNpyHeader } from './npy-header.js'

const MAGIC = Buffer.from('\x93NUMPY', 'latin1')
const MOST_HEADER_BYTES = 65_536

/**
 * Reads an array that `numpy.save` wrote (format versions 1 to 3, NEP 1): numbers and bools of any byte order; Fortran
 * order becomes row-major. Throws `NPY_INVALID`, also for objects and records; `DATA_LIMIT_EXCEEDED`.
 *
 * @example
 * const inputs = await readNpy('inputs.npy') // { dtype: 'float32', shape: [1000, 6], data: Float32Array }
 */
export async function readNpy(path: string, options: { readonly limits?: Partial<DataLimits> } = {}): Promise<Tensor> {
  const limiter = new Limiter(path, options.limits)
  const refuse: Refuse = (issue, cause) => errors.NPY_INVALID({ file: path, issues: [issue] }, cause)
  return npyFrom(new ByteSource(fileBytes(path, limiter, refuse)), limiter, refuse)
}

/** Reads an array from a stream, which it ends. */
export async function npyFrom(source: ByteSource, limiter: Limiter, problem: Refuse): Promise<Tensor> {
  try {
    const start = await source.take(8)
    const version = start[6] ?? 0
    if (!start.subarray(0, 6).equals(MAGIC)) throw problem('it does not begin as NPY does')
    if (version < 1 || version > 3) throw problem(`its format version ${version} is not read; 1, 2 and 3 are`)
    const sizeBytes = version === 1 ? 2 : 4
    const size = await source.take(sizeBytes)
    if (size.length < sizeBytes) throw problem('it ends within its header')
    const length = size.readUIntLE(0, sizeBytes)
    if (length > MOST_HEADER_BYTES)
      throw problem(`its header claims ${length} bytes; at most ${MOST_HEADER_BYTES} are read`)
    const text = await source.take(length)
    if (text.length < length) throw problem('it ends within its header')
    const header = parseNpyHeader(text.toString(version === 3 ? 'utf8' : 'latin1'))
    if (typeof header === 'string') throw problem(header)
    const tensor = await readElements(source, header.type, header.shape, limiter, problem)
    if (!(await source.ended())) throw problem(`it goes on after the values of shape [${header.shape.join(', ')}]`)
    return header.fortranOrder ? rowMajor(tensor) : tensor
  } finally {
    await source.close()
  }
}

/** From the first axis varying fastest to the last. */
function rowMajor(tensor: Tensor): Tensor {
  const { shape } = tensor
  if (shape.length < 2) return tensor
  const from = tensor.data as Float64Array
  const to = from.slice()
  const place = shape.map(() => 0)
  const strides = shape.map((_, axis) => elementCount(shape.slice(0, axis)))
  let at = 0
  for (let index = 0; index < to.length; index++) {
    to[index] = from[at] as number
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [size = 1, stride = 1] = [shape[axis], strides[axis]]
      place[axis] = (place[axis] ?? 0) + 1
      at += stride
      if ((place[axis] ?? 0) < size) break
      at -= stride * size
      place[axis] = 0
    }
  }
  return { ...tensor, data: to } as unknown as Tensor
}
