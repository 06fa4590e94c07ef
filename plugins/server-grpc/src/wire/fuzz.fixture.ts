import { create, toBinary } from '@bufbuild/protobuf'
import { fuzzTensors } from '@tideway/test/support/fuzz-tensors'
import { mutateBytes, Random } from '@tideway/test/support/mutate'
import { ModelInferRequestSchema } from '../generated/inference_pb.js'
import { type RequestInit, rawRequest } from '../infer.fixture.js'

const text = (value: string) => ({ parameterChoice: { case: 'stringParam' as const, value } })

/** Good requests, of every field that there is. */
const requests: readonly RequestInit[] = [
  rawRequest(fuzzTensors, { id: 'raw', modelVersion: '3' }),
  rawRequest({ f4: fuzzTensors.f4! }, {
    outputs: [{ name: 'f4', parameters: { note: text('x') } }],
    parameters: {
      priority: { parameterChoice: { case: 'uint64Param', value: 7n } },
      sequence_start: { parameterChoice: { case: 'boolParam', value: true } },
      timeout: { parameterChoice: { case: 'int64Param', value: 5n } },
      scale: { parameterChoice: { case: 'doubleParam', value: 0.5 } },
    },
  } as Partial<RequestInit>),
  {
    modelName: 'echo',
    inputs: [
      { name: 'f4', datatype: 'FP32', shape: [1n, 2n], contents: { fp32Contents: [1, 2] } },
      { name: 'f8', datatype: 'FP64', contents: { fp64Contents: [3] } },
      { name: 'i8', datatype: 'INT64', shape: [2n], contents: { int64Contents: [2n ** 62n, -1n] } },
      { name: 'i1', datatype: 'INT8', shape: [2n], contents: { intContents: [-128, 127] } },
      { name: 'b', datatype: 'BOOL', shape: [2n], contents: { boolContents: [true, false] } },
      { name: 's', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [new TextEncoder().encode('潮')] } },
      { name: 'u8', datatype: 'UINT64', shape: [1n], contents: { uint64Contents: [2n ** 64n - 1n] } },
      { name: 'u4', datatype: 'UINT32', shape: [1n], contents: { uintContents: [2 ** 32 - 1] } },
    ],
  },
]

/** The seeds as they are: each must be taken, or the mutations of it test nothing. */
export const seeds: readonly Uint8Array[] = requests.map((request) =>
  toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request)),
)

/** The message of this number: the same one whenever it is asked for. */
export function fuzzMessage(number: number): Uint8Array {
  const random = new Random(number)
  let message = random.of(seeds)
  for (let times = random.below(4); times >= 0; times--) message = mutateBytes(message, random)
  return message
}
