import type { MessageInitShape } from '@bufbuild/protobuf'
import { type DataType, datatypeOf, type Serving, type TensorSpec } from '@tideway/core'
import { DataType as ConfigType, type ModelConfigSchema } from '../generated/inference_pb.js'

/** Triton's name for what runs every model here. */
const BACKEND = 'onnxruntime'

/**
 * What Triton's model configuration says, of a model here (triton-inference-server/common, protobuf/model_config.proto). Where
 * rows of several requests go into one run, `max_batch_size` is how many, and dimensions are without the first, as Triton has
 * it; a request of more rows runs alone. Where they do not, it is 0. Every version can be asked for.
 */
export function configOf(
  name: string,
  { platform, signature, maxBatchRows }: Awaited<ReturnType<Serving['metadata']>>,
): MessageInitShape<typeof ModelConfigSchema> {
  const isBatched = maxBatchRows !== undefined
  const specOf = ({ name, dtype, shape }: TensorSpec) => ({
    name,
    dataType: typeOf(dtype),
    dims: shape.slice(isBatched ? 1 : 0).map((size) => BigInt(size ?? -1)),
  })
  return {
    name,
    platform,
    backend: BACKEND,
    versionPolicy: { policyChoice: { case: 'all', value: {} } },
    maxBatchSize: maxBatchRows ?? 0,
    input: signature.inputs.map(specOf),
    output: signature.outputs.map(specOf),
    ...(isBatched && { dynamicBatching: {} }),
  }
}

function typeOf(dtype: DataType): ConfigType {
  const type = dtype === 'string' ? 'STRING' : datatypeOf(dtype)
  return ConfigType[`TYPE_${type}` as keyof typeof ConfigType]
}
