import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { handleUnaryCall, Metadata, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js'
import { errors as core, type Logger, type Refusals, type Refused } from '@tideway/core'
import { reading } from '../wire/reader.js'
import type { Caller, Door } from './door.js'
import { failureOf, ours, trailerOf } from './status.js'

/** What is known of a call beside its messages. */
export interface CallContext extends Caller {
  /** `/inference.GRPCInferenceService/ModelInfer` */
  readonly path: string
  readonly metadata: Metadata
  /** On the clock of `performance.now()`, in milliseconds. */
  readonly deadlineMs: number | undefined
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** From the bytes of a request's message to those of its answer. */
export type Answer = (message: Uint8Array, context: CallContext) => Promise<Buffer>

/** The part of a call of any kind that its context is made from. */
export interface AnyCall {
  readonly metadata: Metadata
  readonly cancelled: boolean
  getDeadline(): Date | number
  getPath(): string
  on(event: 'cancelled', listener: () => void): unknown
}

/** What methods are answered with: how calls are known, and where what goes wrong is told. */
export interface Calls {
  readonly door: Door
  readonly logger: Logger
  readonly refusals: Refusals
}

/** Who was refused what, where a call was. */
export function refusedIn({ path, actor, address, requestId }: CallContext): Refused {
  return { path, actor: actor.name, address, requestId }
}

export function contextOf(call: AnyCall, door: Door): CallContext {
  const controller = new AbortController()
  if (call.cancelled) controller.abort()
  // Also emitted behind an answer.
  call.on('cancelled', () => controller.abort())
  const deadline = Number(call.getDeadline())
  const deadlineMs = Number.isFinite(deadline) ? performance.now() + (deadline - Date.now()) : undefined
  const { metadata } = call
  return { path: call.getPath(), metadata, deadlineMs, signal: controller.signal, ...door.callerOf(metadata) }
}

/** A method of one request and one answer, of whose messages gRPC's library knows the bytes alone. */
export function unary(answer: Answer, { door, logger, refusals }: Calls): handleUnaryCall<Buffer, Buffer> {
  const run = async (call: ServerUnaryCall<Buffer, Buffer>, end: sendUnaryData<Buffer>) => {
    const context = contextOf(call, door)
    const { requestId } = context
    try {
      const message = await answer(call.request, context)
      // To abort what has its answer would cost as much as a small run.
      call.removeAllListeners('cancelled')
      end(null, message, trailerOf(requestId))
    } catch (error) {
      refusals.note(error, refusedIn(context))
      // The call has its end already where nobody waits, and what was given up is no failure.
      if (!context.signal.aborted) end(failureOf(ours(error, context, logger), requestId))
    }
  }
  return (call, end) => void run(call, end)
}

/**
 * A method whose messages are small, by their descriptions. Throws `TOO_LARGE`, `GRPC_MESSAGE_INVALID`, and what `handle`
 * throws.
 */
export function described<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
  maxBytes: number,
  handle: (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>,
): Answer {
  return async (message, context) => {
    const { input, output } = method
    const what = `the ${input.name}`
    if (message.byteLength > maxBytes) throw core.TOO_LARGE({ what, bytes: message.byteLength, maxBytes })
    const request = reading(what, message, (bytes) => fromBinary(input, bytes))
    return bufferOf(toBinary(output, create(output, await handle(request, context))))
  }
}

/** Node's Buffer over the same bytes. */
export function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
