import {
  decodeBinary,
  decodeRequested,
  type InferRequest,
  Issues,
  readTensors,
  type TensorParts,
  timeoutOf,
} from '@tideway/core'
import type { WireRequest } from './request.js'

/** What an inference request over gRPC asks for. */
export interface GrpcInferRequest extends Pick<InferRequest, 'id' | 'inputs' | 'outputs' | 'timeoutMs'> {
  /** Whether the last answer to it on a stream is to say that it is: Triton's models may give many. */
  readonly marksFinal: boolean
}

const RAW = 'raw_input_contents'

/**
 * The tensors of a request, narrowed by core's codec as those of HTTP are. Values are raw or one by one for the whole request.
 * Throws `INPUT_REJECTED` naming every bad field.
 */
export function decodeRequest({ id, parameters, inputs, outputs, raw }: WireRequest): GrpcInferRequest {
  const issues = new Issues('the inference request')
  const isRaw = raw.length > 0
  if (isRaw && raw.length !== inputs.length)
    issues.add(`${RAW}: has ${raw.length} tensors, there are ${inputs.length} inputs`)
  const parts = inputs.map(
    ({ contents, ...input }, i): TensorParts => ({
      values(dtype, shape, at) {
        if (!isRaw) return contents.values(dtype, shape, at, issues)
        if (!contents.isEmpty) issues.add(`${at}.contents: must not be given beside ${RAW}`)
        const bytes = raw[i]
        return bytes && decodeBinary(dtype, shape, bytes, `${RAW}.${i}`, issues)
      },
      ...input,
    }),
  )
  const tensors = readTensors(parts, issues)
  const requested = decodeRequested(outputs, parameters, issues)
  const timeoutMs = timeoutOf(parameters.timeout, issues)
  issues.throwIfAny()
  const marksFinal = parameters.triton_enable_empty_final_response === true
  return { id, inputs: tensors, outputs: requested.outputs, marksFinal, timeoutMs }
}
