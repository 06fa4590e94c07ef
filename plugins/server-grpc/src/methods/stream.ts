import { setMaxListeners } from 'node:events'
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js'
import type { Refusals } from '@tideway/core'
import { errors } from '../errors.js'
import { type CallContext, type Calls, contextOf, refusedIn } from '../grpc/calls.js'
import { failureOf, ours, trailerOf } from '../grpc/status.js'
import { encodeStreamAnswer, encodeStreamError } from '../wire/answer.js'
import type { WireRequest } from '../wire/request.js'
import { type InferServices, readInfer, runInfer } from './infer.js'

type Call = ServerDuplexStream<Buffer, Buffer>

export interface StreamOptions extends Calls {
  /** Requests that run at once. */
  readonly maxRequests: number
  /** Fires when the server stops: no more is read then, what was read is answered. */
  readonly stopping: AbortSignal
}

/**
 * `ModelStreamInfer` (Triton): requests of one stream run side by side, as far as `maxRequests`, so that they may share a batch;
 * each is answered once, in its order. What is wrong with one is said in its answer, and the stream goes on.
 */
export function streamInfer(services: InferServices, options: StreamOptions): handleBidiStreamingCall<Buffer, Buffer> {
  return (call) => {
    const context = contextOf(call, options.door)
    // Each request of the stream may listen to it.
    setMaxListeners(0, context.signal)
    let running = 0
    let last = Promise.resolve()
    let isEnding = false

    let taken = 0
    const take = (message: Buffer) => {
      // Each is a request of its own, for logs and for traffic policies.
      const requestId = `${context.requestId}/${taken++}`
      const answer = answerTo(services, message, { ...context, requestId }, options.refusals)
      running++
      if (running >= options.maxRequests) call.pause()
      last = last.then(async () => {
        await written(call, await answer, context.signal)
        running--
        if (!isEnding) call.resume()
      })
    }
    const end = async (how: () => void) => {
      if (isEnding) return
      isEnding = true
      options.stopping.removeEventListener('abort', stop)
      call.pause()
      await last
      if (!context.signal.aborted) how()
    }
    const stop = () => void end(() => call.emit('error', failureOf(errors.GRPC_STOPPING({}), context.requestId)))

    call.on('data', take)
    call.on('end', () => void end(() => call.end(trailerOf(context.requestId))))
    context.signal.addEventListener('abort', () => options.stopping.removeEventListener('abort', stop))
    options.stopping.addEventListener('abort', stop)
    if (options.stopping.aborted) stop()
  }
}

/** An answer, or the word of what went wrong; never throws. */
async function answerTo(
  services: InferServices,
  message: Buffer,
  context: CallContext,
  refusals: Refusals,
): Promise<Buffer> {
  let request: Partial<WireRequest> = {}
  try {
    const whole = readInfer(message)
    request = whole
    return await runInfer(services, whole, context, encodeStreamAnswer)
  } catch (error) {
    refusals.note(error, refusedIn(context))
    if (context.signal.aborted) return Buffer.alloc(0)
    return encodeStreamError(ours(error, context, services.logger), request)
  }
}

/** When it is on its way, or nobody waits for it any more. */
function written(call: Call, message: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
    call.write(message, done)
  })
}
