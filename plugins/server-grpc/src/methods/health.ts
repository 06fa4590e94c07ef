import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type handleServerStreamingCall, type UntypedHandleCall } from '@grpc/grpc-js'
import { storeAnswers } from '@tideway/core'
import { errors } from '../errors.js'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../generated/health_pb.js'
import { GRPCInferenceService } from '../generated/inference_pb.js'
import { bufferOf, type Calls, contextOf, described, unary } from '../grpc/calls.js'
import { failureOf, ours, trailerOf } from '../grpc/status.js'
import type { Services } from '../services.js'
import { reading } from '../wire/reader.js'

/** How often a watched health is looked at, which is then told if it is another. */
const WATCH_MS = 5_000
/** The server as a whole, and what it is there for. */
const KNOWN = new Set(['', GRPCInferenceService.typeName])

/** gRPC's own health protocol, for load balancers and Kubernetes: what `ServerReady` says. */
export function healthMethods(
  services: Services,
  { maxBytes, stopping, ...calls }: Calls & { readonly maxBytes: number; readonly stopping: AbortSignal },
): Readonly<Record<string, UntypedHandleCall>> {
  const now = async () => {
    const isReady = !stopping.aborted && services.serving !== undefined && (await storeAnswers(services))
    return isReady ? Serving.SERVING : Serving.NOT_SERVING
  }
  const check = described(Health.method.check, maxBytes, async ({ service }) => {
    if (!KNOWN.has(service)) throw errors.GRPC_SERVICE_UNKNOWN({ service: service.slice(0, 80) })
    return { status: await now() }
  })

  const watch: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const context = contextOf(call, calls.door)
    const { signal, requestId } = context
    const ending = AbortSignal.any([signal, stopping])
    let told: Serving | undefined
    const tell = (health: Serving) => {
      if (health === told || signal.aborted) return
      told = health
      call.write(bufferOf(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status: health }))))
    }
    const look = async (service: string) => tell(KNOWN.has(service) ? await now() : Serving.SERVICE_UNKNOWN)
    try {
      const { service } = reading('the HealthCheckRequest', call.request, (bytes) =>
        fromBinary(HealthCheckRequestSchema, bytes),
      )
      const timer = setInterval(() => void look(service), WATCH_MS)
      const end = () => {
        clearInterval(timer)
        tell(Serving.NOT_SERVING)
        if (!signal.aborted) call.end(trailerOf(requestId))
      }
      ending.addEventListener('abort', end, { once: true })
      if (ending.aborted) end()
      else void look(service)
    } catch (error) {
      call.emit('error', failureOf(ours(error, context, calls.logger), requestId))
    }
  }
  return { Check: unary(check, calls), Watch: watch }
}
