import type { DataType, Signature, TensorSpec } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { datatypeOf, datatypes, dtypeOf } from './datatypes.js'
import { Issues, isObject } from './issues.js'

/** A model as a server of the Open Inference Protocol describes it. */
export interface ModelMetadata extends Signature {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
}

/** One input or output in JSON; a free dimension is -1. */
export interface JsonTensorSpec {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/** The metadata document of the Open Inference Protocol v2. */
export interface ModelMetadataJson {
  readonly name: string
  readonly versions: readonly string[]
  readonly platform: string
  readonly inputs: readonly JsonTensorSpec[]
  readonly outputs: readonly JsonTensorSpec[]
}

const WHAT = "the model's metadata"

/** The metadata document for `JSON.stringify`. */
export function encodeModelMetadata({ name, versions, platform, inputs, outputs }: ModelMetadata): ModelMetadataJson {
  return { name, versions, platform, inputs: inputs.map(encodeSpec), outputs: outputs.map(encodeSpec) }
}

/** Narrows a metadata document; `versions` may be missing, as the protocol allows. Throws `INPUT_REJECTED`. */
export function decodeModelMetadata(body: unknown): ModelMetadata {
  const issues = new Issues(WHAT)
  if (!isObject(body)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const { name, versions = [], platform } = body
  if (typeof name !== 'string') issues.add('name: must be a string')
  if (typeof platform !== 'string') issues.add('platform: must be a string')
  const listed = isListOf(versions, (version) => typeof version === 'string')
  if (!listed) issues.add('versions: must be a list of strings')
  const [inputs, outputs] = [decodeSpecs(body.inputs, 'inputs', issues), decodeSpecs(body.outputs, 'outputs', issues)]
  issues.throwIfAny()
  return { name: String(name), versions: listed ? versions : [], platform: String(platform), inputs, outputs }
}

function encodeSpec({ name, dtype, shape }: TensorSpec): JsonTensorSpec {
  return { name, datatype: datatypeOf(dtype), shape: shape.map((size) => size ?? -1) }
}

function decodeSpecs(list: unknown, at: string, issues: Issues): TensorSpec[] {
  if (!Array.isArray(list)) issues.add(`${at}: must be a list`)
  const specs: TensorSpec[] = []
  for (const [i, item] of (Array.isArray(list) ? list : []).entries()) {
    const { name, datatype, shape }: Readonly<Record<string, unknown>> = isObject(item) ? item : {}
    const dtype: DataType | undefined = dtypeOf(datatype)
    const sized = isListOf(shape, (size): size is number => Number.isSafeInteger(size) && Number(size) >= -1)
    if (typeof name !== 'string') issues.add(`${at}.${i}.name: must be a string`)
    if (!dtype) issues.add(`${at}.${i}.datatype: must be one of ${datatypes.join(', ')}`)
    if (!sized) issues.add(`${at}.${i}.shape: must be a list of whole numbers from -1`)
    if (dtype && sized)
      specs.push({ name: String(name), dtype, shape: shape.map((size) => (size === -1 ? null : size)) })
  }
  return specs
}

function isListOf<T>(value: unknown, holds: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(holds)
}
