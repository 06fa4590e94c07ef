import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { answeredOutputs, datatypeOf, encodeBinary, type InferAnswer } from '@tideway/core'
import { ModelInferResponseSchema } from '../generated/inference_pb.js'
import type { GrpcInferRequest } from './decode.js'

/** The number of `raw_output_contents` in `ModelInferResponse`. */
const RAW = 6

/**
 * A `ModelInferResponse` with the outputs that were asked for, in raw contents as Triton has them, each copied once. Throws
 * `INPUT_REJECTED` naming every output asked for that the model does not have.
 */
export function encodeAnswer(answer: InferAnswer, { id, outputs }: GrpcInferRequest): Buffer {
  const tensors = answeredOutputs(answer, outputs)
  const head = toBinary(
    ModelInferResponseSchema,
    create(ModelInferResponseSchema, {
      modelName: answer.model,
      modelVersion: answer.version,
      id,
      outputs: tensors.map(([name, { dtype, shape }]) => ({
        name,
        datatype: datatypeOf(dtype),
        shape: shape.map(BigInt),
      })),
    }),
  )
  const parts: Uint8Array[] = [head]
  for (const [, tensor] of tensors) {
    const bytes = encodeBinary(tensor)
    parts.push(new BinaryWriter().tag(RAW, WireType.LengthDelimited).uint32(bytes.byteLength).finish(), bytes)
  }
  return Buffer.concat(parts)
}
