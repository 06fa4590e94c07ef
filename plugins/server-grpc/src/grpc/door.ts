import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js'
import { type Actor, type Logger, type Refusals, requestIdOf, type Span } from '@tideway/core'
import { type Admit, ANYONE, demandMethod } from './access.js'
import type { CallObserver } from './observer.js'
import { failureOf, ours, REQUEST_ID_KEY } from './status.js'

/** Who calls, and under which id. */
export interface Caller {
  readonly requestId: string
  readonly actor: Actor
  /** Of the peer. */
  readonly address: string | undefined
  /** Where its trace is sampled. */
  readonly span: Span | undefined
}

export interface DoorOptions {
  readonly admit: Admit
  readonly observer: CallObserver
  readonly logger: Logger
  readonly refusals: Refusals
}

/**
 * What every call passes before anything of its messages is read: it gets an id, is counted, and says who calls. Beyond it,
 * calls are told apart by the object that their metadata is.
 */
export class Door {
  readonly #callers = new WeakMap<Metadata, Caller>()
  readonly #options: DoorOptions

  constructor(options: DoorOptions) {
    this.#options = options
  }

  callerOf(metadata: Metadata): Caller {
    const nobody = { actor: ANYONE, address: undefined, span: undefined }
    return this.#callers.get(metadata) ?? { ...nobody, requestId: requestIdOf(undefined) }
  }

  readonly interceptor: ServerInterceptor = ({ path }, call) => {
    const { admit, observer, logger, refusals } = this.#options
    const callers = this.#callers
    let end: (code: status) => void = () => undefined
    const intercepting: ServerInterceptingCall = new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata: (metadata, proceed) => {
            const requestId = requestIdOf(textIn(metadata, REQUEST_ID_KEY))
            const [traceparent, tracestate] = [textIn(metadata, 'traceparent'), textIn(metadata, 'tracestate')]
            const begun = observer.begin(path.slice(1), requestId, { traceparent, tracestate })
            let actor = ANYONE.name
            end = (code) => {
              end = () => undefined
              observer.end(begun, code, actor)
            }
            const authorization = textIn(metadata, 'authorization')
            // Whatever comes behind has no use for it, and nothing may log it.
            metadata.remove('authorization')
            metadata.set(REQUEST_ID_KEY, requestId)
            const { remoteAddress: address } = call.getConnectionInfo()
            const enter = (asks: Actor) => {
              actor = asks.name
              demandMethod(asks, path)
              callers.set(metadata, { requestId, actor: asks, address, span: begun.span })
              proceed(metadata)
            }
            const refuse = (error: unknown) => {
              refusals.note(error, { path, actor, address, requestId })
              intercepting.sendStatus(failureOf(ours(error, { path, requestId }, logger), requestId))
            }
            try {
              const asks = admit({ path, authorization })
              if (asks instanceof Promise) asks.then(enter).catch(refuse)
              else enter(asks)
            } catch (error) {
              refuse(error)
            }
          },
          // Also behind an end of the call's own, which was told then. What gRPC's library ends by itself is not told else.
          onCancel: () => end(Number(call.getDeadline()) <= Date.now() ? status.DEADLINE_EXCEEDED : status.CANCELLED),
        })
      },
      sendStatus(sent, next) {
        end(sent.code)
        next(sent)
      },
    })
    return intercepting
  }
}

/** The first value of a key, which may be given often. */
export function textIn(metadata: Metadata, key: string): string | undefined {
  return metadata.get(key)[0]?.toString()
}
