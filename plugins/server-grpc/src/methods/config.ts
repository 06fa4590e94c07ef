import type { MessageInitShape } from '@bufbuild/protobuf'
import { type ConfiguredTensor, modelConfigOf, type Serving } from '@tideway/core'
import { DataType as ConfigType, type ModelConfigSchema } from '../generated/inference_pb.js'

/** Triton's model configuration of a model, as a message. */
export function configOf(
  model: string,
  metadata: Awaited<ReturnType<Serving['metadata']>>,
): MessageInitShape<typeof ModelConfigSchema> {
  const { name, platform, backend, max_batch_size, input, output, dynamic_batching } = modelConfigOf(model, metadata)
  return {
    name,
    platform,
    backend,
    versionPolicy: { policyChoice: { case: 'all', value: {} } },
    maxBatchSize: max_batch_size,
    input: input.map(messageOf),
    output: output.map(messageOf),
    ...(dynamic_batching && { dynamicBatching: {} }),
  }
}

function messageOf({ name, data_type, dims }: ConfiguredTensor) {
  return { name, dataType: ConfigType[data_type as keyof typeof ConfigType], dims: dims.map(BigInt) }
}
