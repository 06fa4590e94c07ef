import { errors } from '@tideway/core'
import { fromDataUrl, isDataUrl, joined } from './inline.js'
import { quote, refuse } from './issues.js'
import { bytesIssues, manifestIssues, type WeightGroup, type WeightSpec } from './weights.js'

export type Format = 'layers-model' | 'graph-model'

/** A model.json with its weights, narrowed as far as can be told without TensorFlow.js. */
export interface ModelFile {
  readonly format: Format
  readonly modelTopology: Readonly<Record<string, unknown>>
  /** Of Graph models: `signature`, `modelInitializer` and the like. */
  readonly rest: Readonly<Record<string, unknown>>
  readonly specs: readonly WeightSpec[]
  readonly weights: Uint8Array<ArrayBuffer>
}

/** Above it the text would not fit a string of V8. */
export const DEFAULT_MAX_MODEL_BYTES = 384 * 2 ** 20

const FORMATS: readonly unknown[] = ['layers-model', 'graph-model'] satisfies Format[]
/** What only TensorFlow.js's own loaders may look at. */
const REST = ['signature', 'userDefinedMetadata', 'modelInitializer', 'initializerSignature']

/**
 * Reads a model.json whose weights lie in it as data URLs (see `packTfjsModel`). Throws `TOO_LARGE`, `MODEL_INVALID` naming
 * every bad field.
 */
export function readModelFile(bytes: Uint8Array, maxModelBytes = DEFAULT_MAX_MODEL_BYTES): ModelFile {
  if (bytes.byteLength > maxModelBytes)
    throw errors.TOO_LARGE({ what: 'the model', bytes: bytes.byteLength, maxBytes: maxModelBytes })
  const { format, groups, model } = checkModelJson(parseModelJson(bytes))
  const issues: string[] = []
  const parts = groups.map((group, at) => {
    const where = `weightsManifest.${at}`
    const files = group.paths.map((path, i) => {
      if (!isDataUrl(path)) {
        issues.push(`${where}.paths.${i}: ${quote(path)} is a file beside it; make one file of both with packTfjsModel`)
        return new Uint8Array(0)
      }
      const file = fromDataUrl(path)
      if (file === undefined) issues.push(`${where}.paths.${i}: is not base64`)
      return file ?? new Uint8Array(0)
    })
    const whole = joined(files)
    if (issues.length === 0) issues.push(...bytesIssues(group, whole, where))
    return whole
  })
  refuse(issues)
  return {
    format,
    modelTopology: model['modelTopology'] as Record<string, unknown>,
    rest: Object.fromEntries(REST.flatMap((key) => (model[key] == null ? [] : [[key, model[key]]]))),
    specs: groups.flatMap(({ weights }) => weights),
    weights: joined(parts),
  }
}

/** Throws `MODEL_INVALID`. */
export function parseModelJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw errors.MODEL_INVALID({ reason: 'it is not JSON in UTF-8' }, cause)
  }
}

export interface CheckedModel {
  readonly format: Format
  readonly groups: readonly WeightGroup[]
  readonly model: Readonly<Record<string, unknown>>
}

/** Narrows a model.json, its weights' bytes left aside. Throws `MODEL_INVALID` naming every bad field. */
export function checkModelJson(value: unknown): CheckedModel {
  refuse(isObject(value) ? [] : ['(root): is not an object'])
  const model = value as Record<string, unknown>
  const { modelTopology, weightsManifest } = model
  const issues: string[] = []
  if (!isObject(modelTopology)) issues.push('modelTopology: is not an object')
  // Versions before 1.0 of TensorFlow.js wrote none.
  const format = model['format'] ?? (isObject(modelTopology) && 'node' in modelTopology ? FORMATS[1] : FORMATS[0])
  if (!FORMATS.includes(format)) issues.push(`format: ${quote(format)} is none of ${FORMATS.join(', ')}`)
  if (format === 'graph-model' && isObject(modelTopology) && !Array.isArray(modelTopology['node']))
    issues.push('modelTopology.node: is not a list')
  issues.push(...manifestIssues(weightsManifest))
  refuse(issues)
  return { format: format as Format, groups: weightsManifest as WeightGroup[], model }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
