import { type InferAnswer, type InferContext, inferTargetSchema, narrow, runMeasured } from '@tideway/core'
import type { CallContext } from '../grpc/calls.js'
import { type Services, servingOf } from '../services.js'
import { decodeRequest, type GrpcInferRequest } from '../wire/decode.js'
import { reading } from '../wire/reader.js'
import { readRequest, type WireRequest } from '../wire/request.js'

/** How an answer is written; `Buffer` is what gRPC's library takes. */
export type EncodeAnswer = (answer: InferAnswer, request: GrpcInferRequest) => Buffer

/** Throws `GRPC_MESSAGE_INVALID`, and `INPUT_REJECTED` for more fields than are kept. */
export function readInfer(message: Uint8Array): WireRequest {
  return reading('the inference request', message, readRequest)
}

/**
 * The run of `ModelInfer` and `ModelStreamInfer`: the same as over HTTP, between this form of its tensors. Throws
 * `INPUT_REJECTED`, `ROLE_NOT_HERE`, and what the serving throws.
 */
export async function runInfer(
  services: Services,
  request: WireRequest,
  { metadata, deadlineMs, signal }: CallContext,
  encode: EncodeAnswer,
): Promise<Buffer> {
  const { statistics } = services
  const { model, version } = request
  const serving = servingOf(services)
  const target = narrow(inferTargetSchema, { model, version: version || undefined }, 'the inference request')
  const form = { decode: () => decodeRequest(request), encode, bytesOut: (answer: Buffer) => answer.byteLength }
  return runMeasured<GrpcInferRequest, Buffer>({ serving, statistics }, target, form, {
    ...keysIn(metadata, request.id),
    deadlineMs,
    signal,
  })
}

/** As the header of that name is over HTTP. */
const STICKY_KEY = 'x-tideway-key'

/** What a traffic policy goes by; the protocol's own id stands for a request without a key in an A/B test. */
function keysIn(metadata: CallContext['metadata'], id: string): Pick<InferContext, 'stickyKey' | 'requestId'> {
  const [stickyKey] = metadata.get(STICKY_KEY)
  return { ...(stickyKey && { stickyKey: String(stickyKey) }), ...(id && { requestId: id }) }
}
