import type { Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { Issues, isObject, quoted } from './issues.js'
import { decodeTensorList, encodeTensor, type JsonTensor } from './tensor-json.js'

/** What an inference request asks for. */
export interface InferRequest {
  readonly id?: string
  readonly inputs: Tensors
  /** Names of the outputs asked for, in this order; undefined for all. */
  readonly outputs?: readonly string[]
  /** INT64 and UINT64 outputs as strings of digits instead of JSON numbers. */
  readonly int64AsString: boolean
}

/** An inference request for `JSON.stringify`. */
export interface InferRequestJson {
  readonly id?: string
  readonly parameters: { readonly int64_as_string: boolean }
  readonly inputs: readonly JsonTensor[]
  readonly outputs?: readonly { readonly name: string }[]
}

const WHAT = 'the inference request'

/** Enough to see that all of them are meant. */
const MAX_BINARY_FIELDS = 20

/**
 * Narrows the JSON of an inference request (Open Inference Protocol v2, `data` flat or nested, row-major; 64-bit
 * integers beyond 2^53 as strings of digits). Written by hand, since every inference over HTTP goes through it. Throws
 * `INPUT_REJECTED` naming every bad field, `INFER_BINARY_UNSUPPORTED`.
 *
 * @example
 * const request = decodeInferRequest(JSON.parse(body))
 * const outputs = await session.run(request.inputs)
 * response.end(encodeInferAnswer({ model: 'digits', version: '3', outputs }, request))
 */
export function decodeInferRequest(body: unknown): InferRequest {
  const issues = new Issues(WHAT)
  if (!isObject(body)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const { id, parameters } = body
  const named = id === undefined || typeof id === 'string'
  if (!named) issues.add('id: must be a string')
  refuseBinary(body.inputs)
  const inputs = decodeTensorList(body.inputs, { at: 'inputs', issues, nullIsNaN: false })
  const outputs = decodeOutputs(body.outputs, issues)
  issues.throwIfAny()
  const int64AsString = isObject(parameters) && parameters.int64_as_string === true
  return { id: named ? id : undefined, inputs, outputs, int64AsString }
}

/** What a client sends: 64-bit integers go, and are asked for, as strings, as numbers of `JSON.parse` end at 2^53. */
export function encodeInferRequest({ id, inputs, outputs }: Omit<InferRequest, 'int64AsString'>): InferRequestJson {
  return {
    id,
    parameters: { int64_as_string: true },
    inputs: Object.entries(inputs).map(([name, tensor]) => encodeTensor(name, tensor)),
    outputs: outputs?.map((name) => ({ name })),
  }
}

/** Throws `INFER_BINARY_UNSUPPORTED` if inputs are announced to follow the JSON as bytes. */
function refuseBinary(inputs: unknown): void {
  if (!Array.isArray(inputs)) return
  const issues: string[] = []
  for (let i = 0; i < inputs.length && issues.length < MAX_BINARY_FIELDS; i++) {
    const input: unknown = inputs[i]
    if (isObject(input) && isObject(input.parameters) && input.parameters.binary_data_size !== undefined)
      issues.push(`inputs.${i}.parameters.binary_data_size`)
  }
  if (issues.length > 0) throw errors.INFER_BINARY_UNSUPPORTED({ issues })
}

function decodeOutputs(outputs: unknown, issues: Issues): readonly string[] | undefined {
  if (outputs === undefined || (Array.isArray(outputs) && outputs.length === 0)) return undefined
  const names = new Set<string>()
  if (!Array.isArray(outputs)) issues.add('outputs: must be a list')
  else
    for (let i = 0; i < outputs.length; i++) {
      const output: unknown = outputs[i]
      if (!isObject(output) || typeof output.name !== 'string') issues.add(`outputs.${i}.name: must be a string`)
      // Each copy would lengthen the answer by a whole tensor.
      else if (names.has(output.name)) issues.add(`outputs.${i}.name: ${quoted(output.name)} is given twice`)
      else names.add(output.name)
    }
  return [...names]
}
