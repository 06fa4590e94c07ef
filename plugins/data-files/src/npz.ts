import { crc32 } from 'node:zlib'
import { codeOf, type Tensor, type Tensors } from '@tideway/core'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { ByteSource, fileSize } from './bytes.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'
import { npyFrom } from './npy.js'

/**
 * Reads the arrays that `numpy.savez` or `numpy.savez_compressed` wrote, by name. `maxDecodedBytes` counts all of them
 * together, as they are decompressed. Throws `NPY_INVALID`, `DATA_LIMIT_EXCEEDED`.
 *
 * @example
 * const { x, y } = await readNpz('train.npz')
 */
export async function readNpz(path: string, options: { readonly limits?: Partial<DataLimits> } = {}): Promise<Tensors> {
  const limiter = new Limiter(path, options.limits)
  const problem = (issue: string, cause?: unknown) => errors.NPY_INVALID({ file: path, issues: [issue] }, cause)
  await fileSize(path, limiter, problem)
  const tensors = new Map<string, Tensor>()
  let zip: ZipFile | undefined
  try {
    zip = await openPromise(path, { lazyEntries: true, autoClose: false })
    limiter.check('maxEntries', zip.entryCount)
    let left = limiter.get('maxDecodedBytes')
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName.replace(/\.npy$/, '')
      const where = `array ${JSON.stringify(name.slice(0, 80))}`
      if (name === entry.fileName) throw problem(`entry ${tensors.size + 1} of the archive is no .npy`)
      if (tensors.has(name)) throw problem(`${where} is there twice`)
      if (entry.isEncrypted()) throw problem(`${where} is encrypted`)
      const tensor = await npyFrom(
        new ByteSource(entryBytes(zip, entry, () => problem(`${where}: its checksum is wrong`))),
        new Limiter(path, { ...options.limits, maxDecodedBytes: left }),
        (issue) => problem(`${where}: ${issue}`),
      )
      left -= (tensor.data as Uint8Array).byteLength
      tensors.set(name, tensor)
    }
  } catch (error) {
    throw codeOf(error) === undefined ? problem('its archive is broken', error) : error
  } finally {
    zip?.close()
  }
  return Object.fromEntries(tensors)
}

async function* entryBytes(zip: ZipFile, entry: Entry, wrong: () => Error): AsyncGenerator<Buffer> {
  let sum = 0
  for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
    sum = crc32(chunk, sum)
    yield chunk
  }
  if (sum !== entry.crc32) throw wrong()
}
