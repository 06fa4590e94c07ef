import { errors as shared, toJsonBytes } from '@tideway/core'
import { errors } from '../errors.js'
import { fromDataUrl, isDataUrl, joined, toDataUrl } from './inline.js'
import { listed, quote } from './issues.js'
import { checkModelJson, DEFAULT_MAX_MODEL_BYTES, parseModelJson } from './read.js'
import { bytesIssues } from './weights.js'

/** Files of weights by the name that `weightsManifest[].paths` gives them. */
export type Shards = Readonly<Record<string, Uint8Array>>

/**
 * Makes the one file of a variant of a model.json and its shards (`group1-shard1of2.bin`, …), as `model.save` and
 * `tensorflowjs_converter` write them. Quantized weights stay quantized. The result is a model.json, too, whose paths are
 * data URLs: `load` takes it, and so does TensorFlow.js with `weightUrlConverter: async (path) => path`.
 *
 * Throws `TFJS_SHARDS_INVALID` naming every file that is missing, of a wrong size or not asked for, `MODEL_INVALID` naming
 * every bad field of the model.json, `TOO_LARGE` above what `load` reads by default.
 *
 * @example
 * const names = (await readdir(dir)).filter((name) => name.endsWith('.bin'))
 * const shards = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name))])))
 * const file = packTfjsModel(await readFile(join(dir, 'model.json')), shards)
 */
export function packTfjsModel(modelJson: Uint8Array | object, shards: Shards = {}): Uint8Array<ArrayBuffer> {
  const { groups, model } = checkModelJson(modelJson instanceof Uint8Array ? parseModelJson(modelJson) : modelJson)
  const issues: string[] = []
  const weightsManifest = groups.map((group, at) => {
    const parts = group.paths.map((path, i) => {
      const part = isDataUrl(path) ? fromDataUrl(path) : shardOf(shards, path)
      if (part === undefined) issues.push(`weightsManifest.${at}.paths.${i}: ${quote(path)} is missing`)
      return part
    })
    const present = parts.filter((part) => part !== undefined)
    const whole = joined(present)
    if (present.length === parts.length)
      issues.push(...bytesIssues(group, whole, `weightsManifest.${at} (${group.paths.map(nameOf).join(', ')})`))
    return { ...group, paths: [toDataUrl(whole)] }
  })
  const asked = new Set(groups.flatMap(({ paths }) => paths))
  for (const name of Object.keys(shards))
    if (!asked.has(name)) issues.push(`${quote(name)}: weightsManifest does not name it`)
  if (issues.length > 0) throw errors.TFJS_SHARDS_INVALID({ issues: listed(issues) })
  const size = weightsManifest.reduce((sum, { paths }) => sum + (paths[0]?.length ?? 0), 0)
  const tooLarge = (bytes: number) =>
    shared.TOO_LARGE({ what: 'the model as one file', bytes, maxBytes: DEFAULT_MAX_MODEL_BYTES })
  if (size > DEFAULT_MAX_MODEL_BYTES) throw tooLarge(size)
  const bytes = toJsonBytes({ ...model, weightsManifest })
  if (bytes.byteLength > DEFAULT_MAX_MODEL_BYTES) throw tooLarge(bytes.byteLength)
  return bytes
}

function shardOf(shards: Shards, path: string): Uint8Array | undefined {
  const shard: unknown = Object.hasOwn(shards, path) ? shards[path] : undefined
  return shard instanceof Uint8Array ? shard : undefined
}

const nameOf = (path: string): string => (isDataUrl(path) ? 'a data URL' : path.slice(0, 80))
