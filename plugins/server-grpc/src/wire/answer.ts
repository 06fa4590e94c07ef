import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { answeredOutputs, datatypeOf, encodeBinary, type InferAnswer, type TidewayError } from '@tideway/core'
import { ModelInferResponseSchema, ModelStreamInferResponseSchema } from '../generated/inference_pb.js'
import type { GrpcInferRequest } from './decode.js'
import type { WireRequest } from './request.js'

/** Numbers of fields that are written by hand: `raw_output_contents`, and `infer_response` of a stream. */
const RAW = 6
const INFER_RESPONSE = 2

/**
 * A `ModelInferResponse` with the outputs that were asked for, in raw contents as Triton has them, each copied once. Throws
 * `INPUT_REJECTED` naming every output asked for that the model does not have.
 */
export function encodeAnswer(answer: InferAnswer, request: GrpcInferRequest, unit?: string): Buffer {
  return Buffer.concat(partsOf(answer, request, parametersOf(unit, false)))
}

/** The same within a `ModelStreamInferResponse`. */
export function encodeStreamAnswer(answer: InferAnswer, request: GrpcInferRequest, unit?: string): Buffer {
  // There is one answer to each request, so the first is the last (Triton, docs/protocol/extension_generate.md and
  // docs/user_guide/decoupled_models.md).
  const parts = partsOf(answer, request, parametersOf(unit, request.marksFinal))
  const size = parts.reduce((sum, { byteLength }) => sum + byteLength, 0)
  return Buffer.concat([lengthOf(INFER_RESPONSE, size), ...parts])
}

/** A refusal within a stream that goes on: what was wrong, and with which request. */
export function encodeStreamError(error: TidewayError, request: Partial<WireRequest>): Buffer {
  const code = { parameterChoice: { case: 'stringParam' as const, value: error.code } }
  const { model, version, id } = request
  const inferResponse = { modelName: model, modelVersion: version, id, parameters: { tideway_code: code } }
  const message = create(ModelStreamInferResponseSchema, { errorMessage: error.message, inferResponse })
  return Buffer.from(toBinary(ModelStreamInferResponseSchema, message))
}

type Parameters = NonNullable<MessageInitShape<typeof ModelInferResponseSchema>['parameters']>

/** Of an answer: by which its outcome is reported, and whether it is the last to its request. */
function parametersOf(unit: string | undefined, isFinal: boolean): Parameters {
  return {
    ...(unit !== undefined && { tideway_unit: { parameterChoice: { case: 'stringParam' as const, value: unit } } }),
    ...(isFinal && { triton_final_response: { parameterChoice: { case: 'boolParam' as const, value: true } } }),
  }
}

function partsOf(answer: InferAnswer, { id, outputs }: GrpcInferRequest, parameters: Parameters): Uint8Array[] {
  const tensors = answeredOutputs(answer, outputs)
  const head = create(ModelInferResponseSchema, {
    modelName: answer.model,
    modelVersion: answer.version,
    id,
    parameters,
    outputs: tensors.map(([name, { dtype, shape }]) => ({
      name,
      datatype: datatypeOf(dtype),
      shape: shape.map(BigInt),
    })),
  })
  const parts: Uint8Array[] = [toBinary(ModelInferResponseSchema, head)]
  for (const [, tensor] of tensors) {
    const bytes = encodeBinary(tensor)
    parts.push(lengthOf(RAW, bytes.byteLength), bytes)
  }
  return parts
}

/** What stands before a field of so many bytes. */
function lengthOf(field: number, byteLength: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(byteLength).finish()
}
