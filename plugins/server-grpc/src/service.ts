import type { DescService } from '@bufbuild/protobuf'
import type { Server, UntypedHandleCall } from '@grpc/grpc-js'
import { file_health, Health } from './generated/health_pb.js'
import { file_inference, GRPCInferenceService } from './generated/inference_pb.js'
import { file_reflection, ServerReflection } from './generated/reflection_pb.js'
import { type Answer, type Calls, unary } from './grpc/calls.js'
import { definitionOf } from './grpc/definition.js'
import { healthMethods } from './methods/health.js'
import { type InferServices, readInfer, runInfer } from './methods/infer.js'
import { modelMethods } from './methods/models.js'
import { reflection } from './methods/reflection.js'
import { repositoryMethods } from './methods/repository.js'
import { statisticsMethods } from './methods/statistics.js'
import { streamInfer } from './methods/stream.js'
import type { GrpcLimits } from './options.js'
import { encodeAnswer } from './wire/answer.js'

/** What describes all that is served. */
const FILES = [file_inference, file_health, file_reflection]

/** Every service and method that is answered; streams end when `stopping` fires. */
export function addServices(
  server: Server,
  services: InferServices,
  { limits, stopping, ...calls }: Calls & { readonly limits: GrpcLimits; readonly stopping: AbortSignal },
): void {
  const { maxMessageBytes: maxBytes, maxStreamRequests: maxRequests } = limits
  const answers: Readonly<Record<string, Answer>> = {
    ...modelMethods(services, maxBytes),
    ...repositoryMethods(services, maxBytes),
    ...statisticsMethods(services, maxBytes),
    ModelInfer: async (message, context) => runInfer(services, readInfer(message), context, encodeAnswer),
  }
  add(server, GRPCInferenceService, {
    ...unaryMethods(answers, calls),
    ModelStreamInfer: streamInfer(services, {
      ...calls,
      maxRequests,
      stopping,
    }),
  })
  add(server, Health, healthMethods(services, { ...calls, maxBytes, stopping }))
  const reflecting = { ServerReflectionInfo: reflection(FILES, { ...calls, stopping }) }
  add(server, ServerReflection, reflecting)
  // The same under the name that it had before it was released, which many tools still ask for.
  add(server, { ...ServerReflection, typeName: 'grpc.reflection.v1alpha.ServerReflection' }, reflecting)
}

function unaryMethods(answers: Readonly<Record<string, Answer>>, calls: Calls) {
  const methods = Object.entries(answers).map(([name, answer]) => [name, unary(answer, calls)] as const)
  return Object.fromEntries<UntypedHandleCall>(methods)
}

function add(
  server: Server,
  service: Pick<DescService, 'typeName' | 'methods'>,
  methods: Readonly<Record<string, UntypedHandleCall>>,
): void {
  server.addService(definitionOf(service), { ...methods })
}
