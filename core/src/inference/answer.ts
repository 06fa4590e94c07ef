import type { Tensor, Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { announcing } from './announced.js'
import { binaryReader, encodeBinary } from './binary.js'
import { BinaryBody, padded } from './body.js'
import { datatypeOf } from './datatypes.js'
import { Issues, isObject, quoted } from './issues.js'
import { parseInferJson } from './json-text.js'
import type { InferRequest } from './request.js'
import { decodeTensorList } from './tensor-json.js'
import { type TextOptions, valuesText } from './values.js'

/** What a model answered. */
export interface InferAnswer {
  readonly model: string
  readonly version: string
  readonly outputs: Tensors
}

/** How an answer is wanted: what the request says of it. */
export type AnswerForm = Pick<InferRequest, 'id' | 'outputs' | 'binaryOutputs'> & Partial<TextOptions>

type Output = readonly [name: string, tensor: Tensor]

const WHAT = 'the inference answer'

/**
 * The body of an inference answer (Open Inference Protocol v2, "Inference Response JSON Object"), with the outputs that were
 * asked for in binary behind the JSON (Triton, docs/protocol/extension_binary_data.md) in the order in which it lists them;
 * text where none was. Values in JSON are flat and row-major; NaN and infinities, which JSON lacks, are the bare words NaN,
 * Infinity and -Infinity as in Triton, or null where the request asked for it; 64-bit integers are numbers with all their
 * digits, or strings. Throws `INPUT_REJECTED` naming every output asked for that the model does not have.
 *
 * @example
 * const body = encodeInferAnswer({ model: 'digits', version: '3', outputs }, request)
 * if (typeof body !== 'string') response.setHeader('Inference-Header-Content-Length', body.headerBytes)
 */
export function encodeInferAnswer(answer: InferAnswer, form: AnswerForm): string | BinaryBody {
  const { id, binaryOutputs } = form
  const outputs = answeredOutputs(answer, form.outputs)
  if (binaryOutputs === 'all')
    return outputs.length === 0 ? documentText(answer, id, []) : binaryAnswer(answer, id, outputs)
  const parts: Uint8Array[] = []
  const tensors = outputs.map(([name, tensor]) => {
    if (!binaryOutputs?.has(name)) return tensorText(name, tensor, form)
    const bytes = encodeBinary(tensor)
    parts.push(bytes)
    return binaryText(name, tensor, bytes)
  })
  const document = documentText(answer, id, tensors)
  return parts.length === 0 ? document : new BinaryBody(padded(document), parts)
}

function binaryAnswer(answer: InferAnswer, id: string | undefined, outputs: readonly Output[]): BinaryBody {
  const parts = outputs.map(([, tensor]) => encodeBinary(tensor))
  const write = () => {
    const tensors = outputs.map(([name, tensor], i) => binaryText(name, tensor, parts[i] as Uint8Array))
    return padded(documentText(answer, id, tensors))
  }
  const { model, version } = answer
  return new BinaryBody(id === undefined ? announcing({ model, version, outputs }, write) : write(), parts)
}

/**
 * Reads the body of an inference answer, JSON alone or with binary tensors behind it, of which `headerBytes` are JSON.
 * Outputs in binary are views of `bytes` where they are aligned there. 64-bit integers are exact, and NaN and infinities
 * are taken as Triton writes them; null stands for NaN. Throws `JSON_INVALID`, and `INPUT_REJECTED` naming every bad field.
 */
export function decodeInferAnswer(bytes: Uint8Array, headerBytes = bytes.byteLength): InferAnswer {
  const json = parseInferJson(new TextDecoder().decode(bytes.subarray(0, headerBytes)), WHAT)
  const body = json.value
  const issues = new Issues(WHAT)
  if (!isObject(body)) throw errors.INPUT_REJECTED({ what: WHAT, issues: ['(root): must be an object'] })
  const { model_name: model, model_version: version } = body
  if (typeof model !== 'string') issues.add('model_name: must be a string')
  if (typeof version !== 'string') issues.add('model_version: must be a string')
  const outputs = decodeTensorList(body.outputs, {
    at: 'outputs',
    issues,
    nullIsNaN: true,
    infinite: json.nonFinite,
    binary: binaryReader(bytes.subarray(headerBytes)),
    exact: () => (json.exact() as { readonly outputs: unknown }).outputs,
  })
  issues.throwIfAny()
  return { model: String(model), version: String(version), outputs }
}

/** The outputs that were asked for, in that order; all without a list. Throws `INPUT_REJECTED` naming those that the model does not have. */
export function answeredOutputs({ outputs }: InferAnswer, given?: readonly string[]): readonly Output[] {
  if (given === undefined) return Object.entries(outputs)
  const issues = new Issues('the inference request')
  const found: [string, Tensor][] = []
  for (const [i, name] of given.entries()) {
    const tensor = Object.hasOwn(outputs, name) ? outputs[name] : undefined
    if (tensor) found.push([name, tensor])
    else issues.add(`outputs.${i}.name: the model has no output ${quoted(name)}`)
  }
  issues.throwIfAny()
  return found
}

function documentText({ model, version }: InferAnswer, id: string | undefined, tensors: readonly string[]): string {
  const named = id === undefined ? '' : `,"id":${JSON.stringify(id)}`
  return `{"model_name":${text(model)},"model_version":${text(version)}${named},"outputs":[${tensors.join()}]}`
}

/** All of a tensor but its values, without the closing brace. */
function headText(name: string, { dtype, shape }: Tensor): string {
  return `{"name":${text(name)},"datatype":"${datatypeOf(dtype)}","shape":[${shape.join()}]`
}

/** As JSON: of names, which are few and the same in each answer. */
const texts = new Map<string, string>()
const MAX_TEXTS = 1_000

function text(name: string): string {
  const known = texts.get(name)
  if (known !== undefined) return known
  const json = JSON.stringify(name)
  if (texts.size >= MAX_TEXTS) texts.clear()
  texts.set(name, json)
  return json
}

function binaryText(name: string, tensor: Tensor, bytes: Uint8Array): string {
  return `${headText(name, tensor)},"parameters":{"binary_data_size":${bytes.byteLength}}}`
}

function tensorText(name: string, tensor: Tensor, form: AnswerForm): string {
  const { int64AsString = false, nonFiniteAsNull = false } = form
  return `${headText(name, tensor)},"data":${valuesText(tensor, { int64AsString, nonFiniteAsNull })}}`
}
