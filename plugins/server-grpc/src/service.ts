import type { DescService } from '@bufbuild/protobuf'
import type { Server, UntypedHandleCall } from '@grpc/grpc-js'
import type { Logger } from '@tideway/core'
import { GRPCInferenceService } from './generated/inference_pb.js'
import { type Answer, unary } from './grpc/calls.js'
import { definitionOf } from './grpc/definition.js'
import { inferAnswer } from './methods/infer.js'
import { modelMethods } from './methods/models.js'
import { repositoryMethods } from './methods/repository.js'
import { statisticsMethods } from './methods/statistics.js'
import type { GrpcLimits } from './options.js'
import type { Services } from './services.js'

/** Every service and method that is answered. */
export function addServices(server: Server, services: Services, limits: GrpcLimits): void {
  const { logger } = services
  const answers = {
    ...modelMethods(services, limits.maxMessageBytes),
    ...repositoryMethods(services, limits.maxMessageBytes),
    ...statisticsMethods(services, limits.maxMessageBytes),
    ModelInfer: inferAnswer(services),
  }
  add(server, GRPCInferenceService, unaryMethods(GRPCInferenceService, answers, logger))
}

function unaryMethods({ typeName }: DescService, answers: Readonly<Record<string, Answer>>, logger: Logger) {
  const methods = Object.entries(answers).map(
    ([name, answer]) => [name, unary(`/${typeName}/${name}`, answer, logger)] as const,
  )
  return Object.fromEntries<UntypedHandleCall>(methods)
}

function add(server: Server, service: DescService, methods: Readonly<Record<string, UntypedHandleCall>>): void {
  server.addService(definitionOf(service), { ...methods })
}
