import type { FileHandle } from 'node:fs/promises'
import { errors } from '../errors.js'
import type { Model, TensorData } from '../generated/onnx_pb.js'
import { problemOf, readParts } from './read.js'
import { DEFAULT_READ_LIMITS, type ReadLimits } from './skim.js'
import { ELEMENT_BITS } from './types.js'

/** What reading tensors from files beside a model may cost. */
export interface ExternalData {
  /** The model's folder: no file outside of it is opened, through links either. */
  readonly folder: string
  /** Bytes of all such tensors together. */
  readonly maxBytes?: number
}

const DEFAULT_MAX_BYTES = 2 ** 33

interface Place {
  readonly tensor: TensorData
  readonly location: string
  readonly offset: number
  readonly length: number
}

/**
 * Reads a model whose tensors may lie in other files (https://onnx.ai/onnx/repo-docs/ExternalData.html), as PyTorch's
 * exporter writes them, into one model in memory. Locations must be plain relative paths inside `folder`, also after
 * links are followed; every length must be what the tensor's shape says before anything is read, so that memory is
 * bounded by the files' own sizes.
 *
 * Throws as `readModel` does, and `EXTERNAL_DATA_INVALID` naming every tensor that cannot be read and why.
 *
 * @example
 * const model = await readModelFile(await readFile('net/model.onnx'), { folder: 'net' })
 */
export async function readModelFile(
  bytes: Uint8Array,
  { folder, maxBytes = DEFAULT_MAX_BYTES }: ExternalData,
  limits: ReadLimits = DEFAULT_READ_LIMITS,
): Promise<Model> {
  const { model, external } = readParts(bytes, limits)
  if (external.length === 0) return model
  const issues: string[] = []
  const places = external.flatMap((tensor) => {
    const place = placeOf(tensor)
    if (typeof place !== 'string') return [place]
    issues.push(`"${tensor.name ?? ''}" ${place}`)
    return []
  })
  const total = places.reduce((sum, { length }) => sum + length, 0)
  if (total > maxBytes) issues.push(`they have ${total} bytes together; the limit is ${maxBytes}`)
  if (issues.length > 0) throw errors.EXTERNAL_DATA_INVALID({ issues })
  const byFile = new Map<string, Place[]>()
  for (const place of places) byFile.set(place.location, (byFile.get(place.location) ?? []).concat(place))
  for (const [location, list] of byFile) issues.push(...(await readAll(folder, location, list)))
  if (issues.length > 0) throw errors.EXTERNAL_DATA_INVALID({ issues })
  return model
}

/** Where a tensor says that it lies, or what is wrong with that. */
function placeOf(tensor: TensorData): Place | string {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key ?? '', value ?? '']))
  const location = entries.get('location') ?? ''
  const wrong = wrongPath(location)
  if (wrong !== undefined) return wrong
  const bits = ELEMENT_BITS[tensor.dataType ?? 0]
  if (bits === undefined) return `has element type ${tensor.dataType ?? 0}, which has no bytes in a file`
  if (tensor.rawData !== undefined && tensor.rawData.byteLength > 0) return 'has values in the model too'
  const count = tensor.dims.reduce((product, size) => product * Number(size), 1)
  const expected = Math.ceil((count * bits) / 8)
  if (tensor.dims.some((size) => size < 0n) || !Number.isSafeInteger(expected)) return 'has a shape that no file holds'
  const offset = whole(entries.get('offset') ?? '0')
  const length = entries.has('length') ? whole(entries.get('length') ?? '') : expected
  if (offset === undefined || length === undefined) return 'has an offset or length that is no whole number'
  if (length !== expected) return `has ${length} bytes in its file, its shape says ${expected}`
  return { tensor, location, offset, length }
}

const whole = (text: string): number | undefined => {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(value) ? value : undefined
}

/** A relative path of plain names, on every system: no drive, no way up, no device. */
function wrongPath(location: string): string | undefined {
  if (location === '') return 'names no file'
  if (/[\0:\\]/.test(location) || location.startsWith('/')) return 'names a file by an absolute or foreign path'
  if (location.split('/').some((part) => part === '..' || part === '')) return 'names a file outside its folder'
  return undefined
}

async function readAll(folder: string, location: string, places: readonly Place[]): Promise<string[]> {
  // Only who has files beside a model needs a file system: in a browser this package has none.
  const { open, realpath, stat } = await import('node:fs/promises')
  const path = await import('node:path')
  let file: FileHandle | undefined
  try {
    const root = await realpath(folder)
    const target = await realpath(path.join(root, location))
    if (!target.startsWith(root.endsWith(path.sep) ? root : root + path.sep))
      return [`"${location}" leads outside the model's folder`]
    // Before it is opened: opening a pipe waits for who writes into it.
    const found = await stat(target)
    if (!found.isFile()) return [`"${location}" is no file`]
    const { size } = found
    const beyond = places.filter(({ offset, length }) => offset + length > size)
    if (beyond.length > 0)
      return beyond.map(({ tensor }) => `"${tensor.name ?? ''}" lies beyond the end of "${location}" (${size} bytes)`)
    const ranges = new Map(places.map(({ offset, length }) => [`${offset}+${length}`, length]))
    if ([...ranges.values()].reduce((sum, length) => sum + length, 0) > size)
      return [`tensors in "${location}" overlap`]
    file = await open(target, 'r')
    return await fill(file, places)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return [`"${location}" cannot be read (${code ?? 'unknown reason'})`]
  } finally {
    await file?.close()
  }
}

/** Tensors at the same place share their bytes: many small names cannot ask for many large copies. */
async function fill(file: FileHandle, places: readonly Place[]): Promise<string[]> {
  const read = new Map<string, Uint8Array>()
  const issues: string[] = []
  for (const { tensor, offset, length } of places) {
    const key = `${offset}+${length}`
    let bytes = read.get(key)
    if (bytes === undefined) {
      bytes = new Uint8Array(length)
      for (let at = 0; at < length; ) {
        const { bytesRead } = await file.read(bytes, at, length - at, offset + at)
        if (bytesRead === 0) return [`"${tensor.name ?? ''}" could not be read to its end`]
        at += bytesRead
      }
      read.set(key, bytes)
    }
    tensor.rawData = bytes
    tensor.externalData = []
    delete tensor.dataLocation
    const problem = problemOf(tensor)
    if (problem !== undefined) issues.push(problem)
  }
  return issues
}
