import {
  encodeModelMetadata,
  HOST_VERSION,
  type InferTarget,
  inferTargetSchema,
  isRepository,
  narrow,
  storeAnswers,
  whyNotReady,
} from '@tideway/core'
import { GRPCInferenceService } from '../generated/inference_pb.js'
import { demandModel } from '../grpc/access.js'
import { type Answer, described } from '../grpc/calls.js'
import type { Caller } from '../grpc/door.js'
import { type Services, servingOf } from '../services.js'
import { configOf } from './config.js'

const { method } = GRPCInferenceService

/** A model and version as a request names them; an empty version is none. Throws `INPUT_REJECTED`, `MODEL_FORBIDDEN`. */
function targetOf({ name, version }: { readonly name: string; readonly version: string }, caller: Caller): InferTarget {
  const target = narrow(inferTargetSchema, { model: name, version: version || undefined }, 'the request')
  demandModel(caller, target.model)
  return target
}

/** Health and metadata of the server and of its models (Open Inference Protocol v2). */
export function modelMethods(services: Services, maxBytes: number): Readonly<Record<string, Answer>> {
  const { serving } = services
  return {
    ServerLive: described(method.serverLive, maxBytes, async () => ({ live: true })),
    ServerReady: described(method.serverReady, maxBytes, async () => ({
      ready: serving !== undefined && (await storeAnswers(services)),
    })),
    ServerMetadata: described(method.serverMetadata, maxBytes, async () => {
      const extensions = ['statistics', 'model_configuration']
      if (serving && isRepository(serving)) extensions.push('model_repository', 'model_repository(unload_dependents)')
      return { name: 'tideway', version: HOST_VERSION, extensions }
    }),
    ModelReady: described(method.modelReady, maxBytes, async (request, caller) => ({
      ready: (await whyNotReady(servingOf(services), targetOf(request, caller))) === undefined,
    })),
    ModelMetadata: described(method.modelMetadata, maxBytes, async (request, caller) => {
      const { model, version } = targetOf(request, caller)
      const { versions, platform, signature } = await servingOf(services).metadata(model, version)
      const { inputs, outputs, ...rest } = encodeModelMetadata({ name: model, versions, platform, ...signature })
      const asInts = (specs: typeof inputs) => specs.map((spec) => ({ ...spec, shape: spec.shape.map(BigInt) }))
      return { ...rest, versions: [...versions], inputs: asInts(inputs), outputs: asInts(outputs) }
    }),
    ModelConfig: described(method.modelConfig, maxBytes, async (request, caller) => {
      const { model, version } = targetOf(request, caller)
      return { config: configOf(model, await servingOf(services).metadata(model, version)) }
    }),
  }
}
