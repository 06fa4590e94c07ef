import { unzipSync } from 'fflate'
import { errors } from '../errors.js'
import { readHdf5 } from './hdf5.js'
import { importKeras, type KerasImport } from './index.js'
import { savedWeights } from './saved.js'

export interface KerasFileOptions {
  /** The model's JSON, for a file that holds weights alone: what `model.to_json()` gives. */
  readonly json?: unknown
  /** Bytes of the file, and of the tensors in it, together. Default 1 GiB. */
  readonly maxBytes?: number
}

const DEFAULT_MAX_BYTES = 2 ** 30
const MAX_JSON_BYTES = 2 ** 26
const ZIP = [0x50, 0x4b, 0x03, 0x04]
const HDF5 = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]
const WEIGHTS = 'model.weights.h5'

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean =>
  magic.every((byte, at) => bytes[at] === byte)
const invalid = (issue: string, cause?: unknown): Error => errors.KERAS_FILE_INVALID({ issues: [issue] }, cause)

/**
 * A Keras model from the bytes of one file: `.keras`, `.h5` (a whole model, of Keras 2 or 3), or weights alone
 * (`.weights.h5`, `.h5`) with `json`. The package h5wasm reads HDF5; it is installed by who needs it.
 *
 * Throws `KERAS_READER_MISSING` without that package, `KERAS_FILE_INVALID` for a file that is damaged or beyond the limit,
 * and what `fromKeras` throws.
 *
 * @example
 * const { network, weights } = await fromKerasFile(await readFile('digits.keras'))
 */
export async function fromKerasFile(bytes: Uint8Array, options: KerasFileOptions = {}): Promise<KerasImport> {
  const { maxBytes = DEFAULT_MAX_BYTES } = options
  if (bytes.byteLength > maxBytes) throw invalid(`it has ${bytes.byteLength} bytes; the limit is ${maxBytes}`)
  if (startsWith(bytes, ZIP)) return fromArchive(bytes, maxBytes)
  if (startsWith(bytes, HDF5)) return fromHdf5(bytes, options.json, undefined, maxBytes)
  throw invalid('it is neither a .keras archive nor HDF5')
}

async function fromArchive(bytes: Uint8Array, maxBytes: number): Promise<KerasImport> {
  const limits: Readonly<Record<string, number>> = {
    'config.json': MAX_JSON_BYTES,
    'metadata.json': MAX_JSON_BYTES,
    [WEIGHTS]: maxBytes,
  }
  const issues: string[] = []
  let files: Readonly<Record<string, Uint8Array>>
  try {
    files = unzipSync(bytes, {
      // The sizes of the archive's directory; no entry is unpacked beyond its own.
      filter: ({ name, originalSize }) => {
        const limit = Object.hasOwn(limits, name) ? limits[name] : undefined
        if (limit !== undefined && originalSize > limit)
          issues.push(`${name} has ${originalSize} bytes; the limit is ${limit}`)
        return limit !== undefined && originalSize <= limit
      },
    })
  } catch (cause) {
    throw invalid('the archive is damaged', cause)
  }
  const { 'config.json': config, 'metadata.json': metadata, [WEIGHTS]: weights } = files
  if (issues.length === 0)
    for (const name of ['config.json', WEIGHTS]) if (files[name] === undefined) issues.push(`${name} is missing`)
  if (issues.length > 0 || config === undefined || weights === undefined) throw errors.KERAS_FILE_INVALID({ issues })
  const told = metadata && (parsed(metadata, 'metadata.json') as { readonly keras_version?: unknown } | null)
  const version = typeof told?.keras_version === 'string' ? told.keras_version : undefined
  return fromHdf5(weights, parsed(config, 'config.json'), version, maxBytes)
}

async function fromHdf5(
  bytes: Uint8Array,
  json: unknown,
  version: string | undefined,
  maxBytes: number,
): Promise<KerasImport> {
  const file = await readHdf5(bytes, { maxBytes })
  if (json === undefined && file.config === undefined)
    throw invalid("it holds weights alone: give the model's JSON as well")
  const model = json ?? parsed(Buffer.from(file.config ?? ''), 'model_config')
  return importKeras(model, { version: version ?? file.version }, (topology, wanted, namesOf) => {
    if (file.tensors.some(({ path }) => path.startsWith('layers/')))
      return savedWeights(topology, wanted, file.tensors, namesOf)
    // Older files keep each layer's tensors in a group of its name, by their names.
    return file.tensors.flatMap(({ path, shape, data }) =>
      data === undefined ? [] : [{ name: path.replace(/^model_weights\//, ''), shape, data }],
    )
  })
}

function parsed(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw invalid(`${name} is no JSON`, cause)
  }
}
