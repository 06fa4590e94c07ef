import { encodeInferRequest } from '@tideway/core'
import { fuzzTensors } from '@tideway/test/support/fuzz-tensors'
import { mutateBytes, mutateJson, Random } from '@tideway/test/support/mutate'

export interface FuzzRequest {
  readonly body: Uint8Array<ArrayBuffer>
  /** What `Inference-Header-Content-Length` says; undefined without it. */
  readonly header: string | undefined
}

const x = { name: 'f4', datatype: 'FP32', shape: [2, 2] }

/** Requests in JSON, all of them good. */
const documents: readonly object[] = [
  { id: '1', inputs: [{ ...x, data: [1, 2, 3, 4] }], outputs: [{ name: 'f4' }] },
  {
    inputs: [
      {
        ...x,
        data: [
          [1, 2],
          [3, 4.5],
        ],
      },
    ],
    parameters: { binary_data_output: true, int64_as_string: true },
  },
  {
    inputs: [
      { name: 'i8', datatype: 'INT64', shape: [2], data: ['9223372036854775807', 5] },
      { name: 'b', datatype: 'BOOL', shape: [2], data: [true, false] },
      { name: 's', datatype: 'BYTES', shape: [1], data: ['ab'], parameters: {} },
      { name: 'bf', datatype: 'BF16', shape: [1], data: [1.5] },
    ],
    outputs: [
      { name: 'b', parameters: { binary_data: true } },
      { name: 's', parameters: { binary_data: false } },
    ],
  },
]
const texts = [
  '{"inputs":[{"name":"f4","datatype":"FP32","shape":[2,2],"data":[NaN,-Infinity,1,null]}]}',
  '{"inputs":[{"name":"i8","datatype":"UINT64","shape":[2],"data":[18446744073709551615,9007199254740993]}]}',
]
const binary = encodeInferRequest({ id: 'b', inputs: fuzzTensors })
const utf8 = new TextEncoder()

/** The seeds as they are: each must be taken, or the mutations of it test nothing. */
export const seeds: readonly FuzzRequest[] = [
  ...documents.map((document) => ({ body: utf8.encode(JSON.stringify(document)), header: undefined })),
  { body: utf8.encode(texts[0]!.replace('null', '2')), header: undefined },
  { body: utf8.encode(texts[1]), header: undefined },
  { body: binary.body, header: String(binary.headerBytes) },
]

/** The request of this number: the same one whenever it is asked for. */
export function fuzzRequest(number: number): FuzzRequest {
  const random = new Random(number)
  switch (random.below(4)) {
    case 0:
      return { body: utf8.encode(JSON.stringify(mutateJson(random.of(documents), random))), header: undefined }
    case 1:
      return { body: mutateBytes(utf8.encode(random.of(texts)), random), header: undefined }
    case 2: {
      // The JSON changed, and the bytes behind it right or changed, too.
      const head = JSON.parse(new TextDecoder().decode(binary.body.subarray(0, binary.headerBytes))) as unknown
      const text = utf8.encode(JSON.stringify(mutateJson(head, random)))
      const tail = binary.body.subarray(binary.headerBytes)
      const bytes = random.below(2) === 0 ? tail : mutateBytes(tail, random)
      return { body: new Uint8Array(Buffer.concat([text, bytes])), header: lengthOf(text.byteLength, random) }
    }
    default: {
      const seed = random.of(seeds)
      let { body } = seed
      for (let times = random.below(3); times >= 0; times--) body = mutateBytes(body, random)
      return { body, header: random.below(4) === 0 ? lengthOf(random.below(300), random) : seed.header }
    }
  }
}

/** Mostly the truth. */
function lengthOf(length: number, random: Random): string {
  if (random.below(4) > 0) return String(length)
  return random.of(['0', '-1', '', 'x', '99999999', '1e3', String(length + 1), String(Math.max(0, length - 1))])
}
