import {
  decodeInferAnswer,
  decodeModelMetadata,
  encodeInferRequest,
  type InferAnswer,
  type ModelMetadata,
  type Tensors,
} from '@tideway/core'
import { errors } from './errors.js'
import { type Http, path } from './http.js'

/** Of the JSON that binary tensors follow. */
const LENGTH = 'Inference-Header-Content-Length'
const KEY = 'X-Tideway-Key'

export interface InferOptions {
  readonly version?: string | number
  /** Names of the outputs wanted; all when left out. */
  readonly outputs?: readonly string[]
  /** Requests with the same key are answered by the same version while a traffic policy stands. */
  readonly stickyKey?: string
  readonly signal?: AbortSignal
}

/**
 * Runs a model in the cloud over the Open Inference Protocol, with tensors in binary both ways: every value arrives with
 * the bits that it left with. Outputs are views of the answer where they are aligned in it.
 */
export async function infer(http: Http, model: string, inputs: Tensors, options: InferOptions): Promise<InferAnswer> {
  const { body, headerBytes } = encodeInferRequest({ inputs, outputs: options.outputs })
  const { bytes, headers } = await http.bytes(`${modelPath(model, options.version)}/infer`, {
    method: 'POST',
    octets: body,
    headers: { [LENGTH]: String(headerBytes), ...(options.stickyKey && { [KEY]: options.stickyKey }) },
    signal: options.signal,
  })
  const length = headers.get(LENGTH)
  return narrowed(http, () => decodeInferAnswer(bytes, length === null ? undefined : Number(length)))
}

/** Inputs and outputs of a model, as it is served. */
export async function metadata(http: Http, model: string, version?: string | number): Promise<ModelMetadata> {
  const document = await http.json(modelPath(model, version))
  return narrowed(http, () => decodeModelMetadata(document))
}

function modelPath(model: string, version?: string | number): string {
  return version === undefined ? path('v2', 'models', model) : path('v2', 'models', model, 'versions', version)
}

/** What `decode` returns; what it refuses is the answerer's fault, not the caller's: `CLOUD_ANSWER_INVALID`. */
function narrowed<T>(http: Http, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw errors.CLOUD_ANSWER_INVALID({ url: http.url, status: 200 }, cause)
  }
}
