import { fromJson, type JsonValue } from '@bufbuild/protobuf'
import {
  allowsModel,
  inferTargetSchema,
  listStatistics,
  type NamedVersion,
  narrow,
  type Statistics,
} from '@tideway/core'
import { GRPCInferenceService, ModelStatisticsSchema } from '../generated/inference_pb.js'
import { demandModel } from '../grpc/access.js'
import { type Answer, described } from '../grpc/calls.js'
import type { Caller } from '../grpc/door.js'
import { type Services, servingOf } from '../services.js'

const target = inferTargetSchema.partial()

/** Triton's statistics extension (docs/protocol/extension_statistics.md): those that HTTP answers, whose names are the same. */
export function statisticsMethods(services: Services, maxBytes: number): Readonly<Record<string, Answer>> {
  const { registry } = services
  const statOf = (statistics: Statistics, [model, version]: NamedVersion) => {
    const json = statistics.of(model, version).toJson(model, version) as unknown as JsonValue
    return fromJson(ModelStatisticsSchema, json, { ignoreUnknownFields: true })
  }
  const handle = async ({ name, version }: { name: string; version: string }, caller: Caller) => {
    const asked = narrow(target, { model: name || undefined, version: version || undefined }, 'the request')
    if (asked.model !== undefined) demandModel(caller, asked.model)
    const statistics = await services.statistics.whole()
    const listed = await listStatistics({ serving: servingOf(services), statistics, registry }, asked)
    return {
      modelStats: listed
        .filter(([model]) => allowsModel(caller.actor, model))
        .map((named) => statOf(statistics, named)),
    }
  }
  return { ModelStatistics: described(GRPCInferenceService.method.modelStatistics, maxBytes, handle) }
}
