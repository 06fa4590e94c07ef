import type { Serving } from '../contracts/cloud.js'
import type { TensorSpec } from '../contracts/tensor.js'
import { datatypeOf } from './datatypes.js'

/** Triton's name for what runs every model here. */
const BACKEND = 'onnxruntime'

export interface ConfiguredTensor {
  readonly name: string
  /** `TYPE_FP32`, and so on for every datatype. */
  readonly data_type: string
  /** -1 is any size. */
  readonly dims: readonly number[]
}

/** As Triton has it in JSON: names as in its format, enumerations by name. */
export interface ModelConfig {
  readonly name: string
  readonly platform: string
  readonly backend: string
  readonly version_policy: { readonly all: object }
  readonly max_batch_size: number
  readonly input: readonly ConfiguredTensor[]
  readonly output: readonly ConfiguredTensor[]
  readonly dynamic_batching?: object
}

/**
 * What Triton's model configuration says, of a model here (triton-inference-server/common, protobuf/model_config.proto). Where
 * rows of several requests go into one run, `max_batch_size` is how many, and dimensions are without the first, as Triton has
 * it; a request of more rows runs alone. Where they do not, it is 0. Every version can be asked for.
 */
export function modelConfigOf(
  name: string,
  { platform, signature, maxBatchRows }: Awaited<ReturnType<Serving['metadata']>>,
): ModelConfig {
  const isBatched = maxBatchRows !== undefined
  const specOf = ({ name, dtype, shape }: TensorSpec) => ({
    name,
    data_type: `TYPE_${dtype === 'string' ? 'STRING' : datatypeOf(dtype)}`,
    dims: shape.slice(isBatched ? 1 : 0).map((size) => size ?? -1),
  })
  return {
    name,
    platform,
    backend: BACKEND,
    version_policy: { all: {} },
    max_batch_size: maxBatchRows ?? 0,
    input: signature.inputs.map(specOf),
    output: signature.outputs.map(specOf),
    ...(isBatched && { dynamic_batching: {} }),
  }
}
