import {
  errors as core,
  type InferAnswer,
  type InferContext,
  type InferForm,
  inferTargetSchema,
  narrow,
  runMeasured,
} from '@tideway/core'
import { demandModel } from '../grpc/access.js'
import type { CallContext } from '../grpc/calls.js'
import { textIn } from '../grpc/door.js'
import { type Services, servingOf } from '../services.js'
import { decodeRequest, type GrpcInferRequest } from '../wire/decode.js'
import { reading } from '../wire/reader.js'
import { readRequest, type WireRequest } from '../wire/request.js'

export interface InferServices extends Services {
  /** Metadata whose value keeps calls with the same version. */
  readonly stickyHeader: string
}

/** How an answer is written; `unit`: by which its outcome is reported, under an A/B test. */
export type EncodeAnswer = (answer: InferAnswer, request: GrpcInferRequest, unit: string | undefined) => Buffer

/** Throws `GRPC_MESSAGE_INVALID`, and `INPUT_REJECTED` for more fields than are kept. */
export function readInfer(message: Uint8Array): WireRequest {
  return reading('the inference request', message, readRequest)
}

/**
 * The run of `ModelInfer` and `ModelStreamInfer`: the same as over HTTP, between this form of its tensors. Throws
 * `INPUT_REJECTED`, `MODEL_FORBIDDEN`, `ROLE_NOT_HERE`, and what the serving throws.
 */
export async function runInfer(
  services: InferServices,
  request: WireRequest,
  context: CallContext,
  encode: EncodeAnswer,
): Promise<Buffer> {
  const { statistics, stickyHeader } = services
  const { model, version } = request
  const serving = servingOf(services)
  const target = narrow(inferTargetSchema, { model, version: version || undefined }, 'the inference request')
  demandModel(context, target.model)
  const form: InferForm<GrpcInferRequest, Buffer> = {
    decode: () => decodeRequest(request),
    encode,
    bytesIn: request.bytes,
    bytesOut: (answer) => answer.byteLength,
  }
  const { requestId, span, deadlineMs, signal } = context
  const given = { requestId, span, deadlineMs, signal, ...askedIn(context.metadata, stickyHeader) }
  return runMeasured({ serving, statistics }, target, form, given)
}

/** As the header of this name is over HTTP. */
const CACHE_CONTROL = 'cache-control'
/** As long as a unit of an A/B test may be. */
const MAX_KEY_CHARACTERS = 256

/** What the metadata of a call say of how it is to be run. Throws `INPUT_REJECTED` for a key that is too long. */
function askedIn(metadata: CallContext['metadata'], name: string): Pick<InferContext, 'stickyKey' | 'noCache'> {
  const stickyKey = textIn(metadata, name)
  if (stickyKey !== undefined && stickyKey.length > MAX_KEY_CHARACTERS) {
    const issues = [`metadata ${name}: has ${stickyKey.length} characters, at most ${MAX_KEY_CHARACTERS} are taken`]
    throw core.INPUT_REJECTED({ what: 'the inference request', issues })
  }
  const noCache = /\bno-(cache|store)\b/i.test(textIn(metadata, CACHE_CONTROL) ?? '')
  return { stickyKey: stickyKey || undefined, noCache: noCache || undefined }
}
