import {
  encodeModelMetadata,
  errors,
  HOST_VERSION,
  inferTargetSchema,
  isRepository,
  narrow,
  storeAnswers,
  whyNotReady,
} from '@tideway/core'
import { GRPCInferenceService } from '../generated/inference_pb.js'
import { type Answer, described } from '../grpc/calls.js'
import { type Services, servingOf } from '../services.js'

const { method } = GRPCInferenceService

/** A model and version as a request names them; an empty version is none. Throws `INPUT_REJECTED`. */
export function targetOf({ name, version }: { readonly name: string; readonly version: string }) {
  return narrow(inferTargetSchema, { model: name, version: version || undefined }, 'the request')
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
      const extensions = ['statistics']
      if (serving && isRepository(serving)) extensions.push('model_repository', 'model_repository(unload_dependents)')
      return { name: 'tideway', version: HOST_VERSION, extensions }
    }),
    ModelReady: described(method.modelReady, maxBytes, async (request) => ({
      ready: (await whyNotReady(servingOf(services), targetOf(request))) === undefined,
    })),
    ModelMetadata: described(method.modelMetadata, maxBytes, async (request) => {
      const { model, version } = targetOf(request)
      const { versions, platform, signature } = await servingOf(services).metadata(model, version)
      const { inputs, outputs, ...rest } = encodeModelMetadata({ name: model, versions, platform, ...signature })
      const asInts = (specs: typeof inputs) => specs.map((spec) => ({ ...spec, shape: spec.shape.map(BigInt) }))
      return { ...rest, versions: [...versions], inputs: asInts(inputs), outputs: asInts(outputs) }
    }),
    ModelConfig: described(method.modelConfig, maxBytes, async () => {
      throw errors.EXTENSION_NOT_HERE({ extension: 'model_configuration' })
    }),
  }
}
