import type { Tensor, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { datatypeOf } from './datatypes.js'
import { Issues, isObject, quoted } from './issues.js'
import type { InferRequest } from './request.js'
import { decodeTensorList } from './tensor-json.js'
import { encodeValues } from './values.js'

/** What a model answered. */
export interface InferAnswer {
  readonly model: string
  readonly version: string
  readonly outputs: Tensors
}

const WHAT = 'the inference answer'

/**
 * The JSON text of an inference answer. Values are flat and row-major; NaN and infinities, which JSON lacks, are null;
 * 64-bit integers are JSON numbers with all their digits, or strings where the request asked for them. Throws
 * `INPUT_REJECTED` naming every output asked for that the model does not have.
 */
export function encodeInferAnswer(
  { model, version, outputs }: InferAnswer,
  { id, outputs: wanted, int64AsString }: Pick<InferRequest, 'id' | 'outputs' | 'int64AsString'>,
): string {
  const issues = new Issues('the inference request')
  const tensors: string[] = []
  for (const [i, name] of (wanted ?? Object.keys(outputs)).entries()) {
    const tensor = Object.hasOwn(outputs, name) ? outputs[name] : undefined
    if (tensor) tensors.push(encodeTensorText(name, tensor, int64AsString))
    else issues.add(`outputs.${i}.name: the model has no output ${quoted(name)}`)
  }
  issues.throwIfAny()
  const head = JSON.stringify({ model_name: model, model_version: version, id })
  return `${head.slice(0, -1)},"outputs":[${tensors.join(',')}]}`
}

/**
 * Narrows the JSON of an inference answer, in which null stands for NaN. Throws `INPUT_REJECTED` naming every bad
 * field; 64-bit integers beyond 2^53 are one unless they came as strings (which `encodeInferRequest` asks for).
 */
export function decodeInferAnswer(body: unknown): InferAnswer {
  const issues = new Issues(WHAT)
  if (!isObject(body)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const { model_name: model, model_version: version } = body
  if (typeof model !== 'string') issues.add('model_name: must be a string')
  if (typeof version !== 'string') issues.add('model_version: must be a string')
  const outputs = decodeTensorList(body.outputs, { at: 'outputs', issues, nullIsNaN: true })
  issues.throwIfAny()
  return { model: String(model), version: String(version), outputs }
}

/** As `JSON.stringify` of a tensor, but for 64-bit integers, which it cannot write as numbers. */
function encodeTensorText(name: string, tensor: Tensor, int64AsString: boolean): string {
  const { dtype, shape, data } = tensor
  const head = JSON.stringify({ name, datatype: datatypeOf(dtype), shape })
  const asNumbers = (dtype === 'int64' || dtype === 'uint64') && !int64AsString
  return `${head.slice(0, -1)},"data":${asNumbers ? `[${data.join(',')}]` : JSON.stringify(encodeValues(tensor))}}`
}
