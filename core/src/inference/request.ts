import type { Signature, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { type BinaryReader, binaryReader, encodeBinary } from './binary.js'
import { BinaryBody, padded } from './body.js'
import { datatypeOf } from './datatypes.js'
import { Issues, isObject } from './issues.js'
import { type InferJson, parseInferJson } from './json-text.js'
import { liftNumbers, type NumberList } from './number-lists.js'
import { decodeRawInput } from './raw.js'
import { decodeRequested, type RequestedOutputs } from './requested.js'
import { decodeTensorList, parametersOf } from './tensor-json.js'
import type { TextOptions } from './values.js'

/** What an inference request asks for. */
export interface InferRequest extends RequestedOutputs, TextOptions {
  readonly id?: string
  readonly inputs: Tensors
  /** INT64 and UINT64 outputs as strings of digits instead of JSON numbers. */
  readonly int64AsString: boolean
  /** NaN and infinities as null instead of the bare words that Triton writes and JSON lacks. */
  readonly nonFiniteAsNull: boolean
  /** In how many milliseconds it is to be answered (Triton, docs/protocol/extension_schedule_policy.md: `timeout`). */
  readonly timeoutMs?: number
}

/** What a client asks of a model. */
export type InferCall = Pick<InferRequest, 'id' | 'inputs' | 'outputs'>

const WHAT = 'the inference request'
const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads the body of an inference request (Open Inference Protocol v2, "Inference Request JSON Object"), JSON alone or with
 * binary tensors behind it: then `headerBytes` is the JSON's length (Triton, docs/protocol/extension_binary_data.md).
 * Written by hand, since every inference over HTTP goes through it. Inputs in binary are views of `bytes` where they are aligned
 * there. 64-bit integers in JSON are exact whatever their size; NaN and infinities are taken as Triton writes them. With
 * `headerBytes` 0 the whole body is the one input of a model, whose signature is then needed ("Raw Binary Request").
 * Throws `JSON_INVALID`, and `INPUT_REJECTED` naming every bad field.
 *
 * @example
 * const request = decodeInferRequest(bytes, Number(headers['inference-header-content-length']))
 */
export function decodeInferRequest(bytes: Uint8Array, headerBytes?: number, signature?: Signature): InferRequest {
  if (headerBytes === 0) return decodeRawInput(bytes, signature)
  if (headerBytes !== undefined && headerBytes > bytes.byteLength) {
    const issue = `Inference-Header-Content-Length: is ${headerBytes}, the whole body is ${bytes.byteLength} bytes`
    throw errors.INPUT_REJECTED({ what: WHAT, issues: [issue] })
  }
  const quick = headerBytes === undefined ? quickly(bytes) : undefined
  if (quick) return quick
  const header = bytes.subarray(0, headerBytes ?? bytes.byteLength)
  const json = parsedHeader(textOf(header))
  if (!isObject(json.value)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const issues = new Issues(WHAT)
  const request = decode(json.value, json, binaryReader(bytes, header.byteLength), issues)
  issues.throwIfAny()
  return request
}

/** What a client sends with its inputs in binary, asking for outputs in binary. */
export function encodeInferRequest({ id, inputs, outputs }: InferCall): BinaryBody {
  const parts: Uint8Array[] = []
  const announced = Object.entries(inputs).map(([name, tensor]) => {
    const bytes = encodeBinary(tensor)
    parts.push(bytes)
    const parameters = { binary_data_size: bytes.byteLength }
    return { name, datatype: datatypeOf(tensor.dtype), shape: tensor.shape, parameters }
  })
  const wanted = outputs?.map((name) => ({ name }))
  const parameters = { binary_data_output: true, int64_as_string: true }
  return new BinaryBody(padded(JSON.stringify({ id, parameters, inputs: announced, outputs: wanted })), parts)
}

/** A request whose values are lists of plain numbers; undefined where it is not, or anything is wrong with it. */
function quickly(bytes: Uint8Array): InferRequest | undefined {
  const lifted = liftNumbers(bytes)
  if (lifted === undefined) return undefined
  const value = parsed(lifted.text)
  // None of them is told: the request is read again as a whole.
  const issues = new Issues(WHAT, Number.POSITIVE_INFINITY)
  const json = { value, nonFinite: false, exact: () => value }
  const request = isObject(value)
    ? decode(value, json, binaryReader(new Uint8Array()), issues, lifted.lists)
    : undefined
  return issues.isEmpty ? request : undefined
}

function decode(
  body: Readonly<Record<string, unknown>>,
  { nonFinite, exact }: InferJson,
  binary: BinaryReader,
  issues: Issues,
  lists: readonly NumberList[] = [],
): InferRequest {
  const { id } = body
  const named = id === undefined || typeof id === 'string'
  if (!named) issues.add('id: must be a string')
  const parameters = parametersOf(body.parameters, '', issues)
  const inputs = decodeTensorList(body.inputs, {
    at: 'inputs',
    issues,
    nullIsNaN: nonFinite,
    infinite: nonFinite,
    binary,
    lists,
    exact: () => (exact() as { readonly inputs: unknown }).inputs,
  })
  const { outputs, binaryOutputs } = decodeRequested(body.outputs, parameters, issues)
  return {
    id: named ? id : undefined,
    inputs,
    outputs,
    binaryOutputs,
    int64AsString: parameters.int64_as_string === true,
    nonFiniteAsNull: parameters.non_finite_as_null === true,
    timeoutMs: timeoutOf(parameters.timeout, issues),
  }
}

/**
 * Whoever sends tensors in binary sends the same few words of JSON ahead of them each time, which take longer to parse than the
 * tensors to read. Nobody changes what was parsed.
 */
const headers = new Map<string, InferJson>()
const MAX_HEADERS = 100
const MAX_HEADER_CHARACTERS = 1024

function parsedHeader(text: string): InferJson {
  const known = headers.get(text)
  if (known) return known
  const json = parseInferJson(text, WHAT)
  if (text.length <= MAX_HEADER_CHARACTERS) {
    if (headers.size >= MAX_HEADERS) headers.clear()
    headers.set(text, json)
  }
  return json
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Microseconds as milliseconds; 0 says none, as in Triton. */
export function timeoutOf(value: unknown, issues: Issues): number | undefined {
  if (value === undefined || value === 0) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value / 1_000
  issues.add('parameters.timeout: must be whole microseconds')
  return undefined
}

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw errors.JSON_INVALID({ what: WHAT, bytes: bytes.byteLength }, cause)
  }
}
