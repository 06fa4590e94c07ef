import { inferTargetSchema, narrow, runMeasured } from '@tideway/core'
import type { Answer } from '../grpc/calls.js'
import { type Services, servingOf } from '../services.js'
import { encodeAnswer } from '../wire/answer.js'
import { decodeRequest, type GrpcInferRequest } from '../wire/decode.js'
import { reading } from '../wire/reader.js'
import { readRequest } from '../wire/request.js'

/**
 * `ModelInfer`: the same run as over HTTP, between this form of its tensors. Throws `GRPC_MESSAGE_INVALID`, `INPUT_REJECTED`,
 * `ROLE_NOT_HERE`, and what the serving throws.
 */
export function inferAnswer(services: Services): Answer {
  const { statistics } = services
  return async (message, { deadlineMs, signal }) => {
    const serving = servingOf(services)
    const request = reading('the inference request', message, readRequest)
    const { model, version } = request
    const target = narrow(inferTargetSchema, { model, version: version || undefined }, 'the inference request')
    const form = {
      decode: () => decodeRequest(request),
      encode: encodeAnswer,
      bytesIn: message.byteLength,
      bytesOut: (answer: Buffer) => answer.byteLength,
    }
    const context = { deadlineMs, signal }
    return runMeasured<GrpcInferRequest, Buffer>({ serving, statistics }, target, form, context)
  }
}
