import type { Signature, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { binaryReader, encodeBinary } from './binary.js'
import { type BinaryBody, joinBinary } from './body.js'
import { datatypeOf } from './datatypes.js'
import { Issues, isObject } from './issues.js'
import { type InferJson, parseInferJson } from './json-text.js'
import { decodeRawInput } from './raw.js'
import { decodeRequested, type RequestedOutputs } from './requested.js'
import { decodeTensorList, encodeTensor, type JsonTensor, parametersOf } from './tensor-json.js'
import type { TextOptions } from './values.js'

/** What an inference request asks for. */
export interface InferRequest extends RequestedOutputs, TextOptions {
  readonly id?: string
  readonly inputs: Tensors
  /** INT64 and UINT64 outputs as strings of digits instead of JSON numbers. */
  readonly int64AsString: boolean
  /** NaN and infinities as null instead of the bare words that Triton writes and JSON lacks. */
  readonly nonFiniteAsNull: boolean
}

/** An inference request for `JSON.stringify`. */
export interface InferRequestJson {
  readonly id?: string
  readonly parameters: { readonly int64_as_string: boolean }
  readonly inputs: readonly JsonTensor[]
  readonly outputs?: readonly { readonly name: string }[]
}

/** What a client asks of a model. */
export type InferCall = Pick<InferRequest, 'id' | 'inputs' | 'outputs'>

/** What stands behind the JSON that is being read. */
interface Source {
  readonly bytes?: Uint8Array
  readonly json?: InferJson
}

const WHAT = 'the inference request'

/** Enough to see that all of them are meant. */
const MAX_BINARY_FIELDS = 20

/**
 * Narrows the JSON of an inference request (Open Inference Protocol v2, "Inference Request JSON Object": `data` flat or
 * nested, row-major; 64-bit integers beyond 2^53 as strings of digits). Written by hand, since every inference over HTTP
 * goes through it. Throws `INPUT_REJECTED` naming every bad field, `INFER_BINARY_UNSUPPORTED`.
 *
 * @example
 * const request = decodeInferRequest(JSON.parse(body))
 * const outputs = await session.run(request.inputs)
 * response.end(encodeInferAnswer({ model: 'digits', version: '3', outputs }, request))
 */
export function decodeInferRequest(body: unknown): InferRequest {
  if (isObject(body)) refuseBinary(body.inputs)
  return decode(body, {})
}

/**
 * Reads the body of an inference request, JSON alone or with binary tensors behind it: then `headerBytes` is the JSON's
 * length (Triton, docs/protocol/extension_binary_data.md). Inputs in binary are views of `bytes` where they are aligned
 * there. 64-bit integers in JSON are exact whatever their size; NaN and infinities are taken as Triton writes them. With
 * `headerBytes` 0 the whole body is the one input of a model, whose signature is then needed ("Raw Binary Request").
 * Throws `JSON_INVALID`, and `INPUT_REJECTED` naming every bad field.
 *
 * @example
 * const request = decodeInferBody(bytes, Number(headers['inference-header-content-length']))
 */
export function decodeInferBody(bytes: Uint8Array, headerBytes?: number, signature?: Signature): InferRequest {
  if (headerBytes === 0) return decodeRawInput(bytes, signature)
  if (headerBytes !== undefined && headerBytes > bytes.byteLength) {
    const issue = `Inference-Header-Content-Length: is ${headerBytes}, the whole body is ${bytes.byteLength} bytes`
    throw errors.INPUT_REJECTED({ what: WHAT, issues: [issue] })
  }
  const header = bytes.subarray(0, headerBytes ?? bytes.byteLength)
  const json = parseInferJson(textOf(header), WHAT)
  return decode(json.value, { json, bytes: bytes.subarray(header.byteLength) })
}

/** What a client sends as JSON: 64-bit integers go, and are asked for, as strings, as `JSON.parse` is exact to 2^53. */
export function encodeInferRequest({ id, inputs, outputs }: InferCall): InferRequestJson {
  return {
    id,
    parameters: { int64_as_string: true },
    inputs: Object.entries(inputs).map(([name, tensor]) => encodeTensor(name, tensor)),
    outputs: outputs?.map((name) => ({ name })),
  }
}

/** What a client sends with its inputs in binary, asking for outputs in binary. */
export function encodeInferBody({ id, inputs, outputs }: InferCall): BinaryBody {
  const parts: Uint8Array[] = []
  const announced = Object.entries(inputs).map(([name, tensor]) => {
    const bytes = encodeBinary(tensor)
    parts.push(bytes)
    const parameters = { binary_data_size: bytes.byteLength }
    return { name, datatype: datatypeOf(tensor.dtype), shape: tensor.shape, parameters }
  })
  const wanted = outputs?.map((name) => ({ name }))
  const parameters = { binary_data_output: true, int64_as_string: true }
  return joinBinary(JSON.stringify({ id, parameters, inputs: announced, outputs: wanted }), parts)
}

function decode(body: unknown, { bytes, json }: Source): InferRequest {
  const issues = new Issues(WHAT)
  if (!isObject(body)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const { id } = body
  const named = id === undefined || typeof id === 'string'
  if (!named) issues.add('id: must be a string')
  const parameters = parametersOf(body.parameters, '', issues)
  const nonFinite = json?.nonFinite === true
  const inputs = decodeTensorList(body.inputs, {
    at: 'inputs',
    issues,
    nullIsNaN: nonFinite,
    infinite: nonFinite,
    binary: bytes && binaryReader(bytes),
    exact: json && (() => (json.exact() as { readonly inputs: unknown }).inputs),
  })
  const requested = decodeRequested(body.outputs, parameters, issues)
  issues.throwIfAny()
  return {
    id: named ? id : undefined,
    inputs,
    ...requested,
    int64AsString: parameters.int64_as_string === true,
    nonFiniteAsNull: parameters.non_finite_as_null === true,
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw errors.JSON_INVALID({ what: WHAT, bytes: bytes.byteLength }, cause)
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
