import { status } from '@grpc/grpc-js'
import { datatypeOf, decodeBinary, dtypeOf, elementCount, Issues, type Tensor, type Tensors } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GRPCInferenceService, type ModelInferResponse } from './generated/inference_pb.js'
import { everyTensor, floats, type RequestInit, rawRequest } from './infer.fixture.js'
import { type Rig, refusalOf, startRig } from './rig.fixture.js'

const { modelInfer } = GRPCInferenceService.method
const serving = echoServing()
let rig: Rig

beforeAll(async () => {
  rig = await startRig({ serving })
})
afterAll(() => rig?.stop())
beforeEach(() => serving.takes(specOf('x', 'float32')))

const ask = (request: RequestInit) => rig.call(modelInfer, request)

/** The tensors of an answer, as the codec of core reads them. */
function tensorsIn({ outputs, rawOutputContents }: ModelInferResponse): Tensors {
  expect(rawOutputContents).toHaveLength(outputs.length)
  const issues = new Issues('the answer')
  const tensors = outputs.map(({ name, datatype, shape: sizes }, i) => {
    const [dtype, shape] = [dtypeOf(datatype)!, sizes.map(Number)]
    const data = decodeBinary(dtype, shape, new Uint8Array(rawOutputContents[i]!), name, issues)
    return [name, { dtype, shape, data } as Tensor] as const
  })
  issues.throwIfAny()
  return Object.fromEntries(tensors)
}

describe('ModelInfer', () => {
  it.each(Object.entries(everyTensor))('takes and gives %s in raw contents', async (name, tensor) => {
    serving.takes(
      specOf(
        name,
        tensor.dtype,
        tensor.shape.map(() => null),
      ),
    )
    expect(tensorsIn(await ask(rawRequest({ [name]: tensor })))).toEqual({ [name]: tensor })
  })

  it.each(Object.entries(everyTensor).filter(([, { dtype }]) => !['float16', 'bfloat16'].includes(dtype)))(
    'takes %s value by value',
    async (name, tensor) => {
      serving.takes(
        specOf(
          name,
          tensor.dtype,
          tensor.shape.map(() => null),
        ),
      )
      const { dtype, shape } = tensor
      const input = { name, datatype: datatypeOf(dtype), shape: shape.map(BigInt), contents: contentsOf(tensor) }
      expect(tensorsIn(await ask({ modelName: 'echo', inputs: [input] }))).toEqual({ [name]: tensor })
    },
  )

  it('answers which version ran and echoes the id', async () => {
    const answer = await ask(rawRequest({ x: floats(1) }, { id: 'tide 潮', modelVersion: '1' }))
    expect(answer).toMatchObject({ modelName: 'echo', modelVersion: '1', id: 'tide 潮' })
    expect(await ask(rawRequest({ x: floats(1) }))).toMatchObject({ modelVersion: '3', id: '' })
  })

  it('gives the outputs that were asked for, in that order', async () => {
    const tensors = { a: floats(1), b: floats(2), c: floats(3) }
    serving.takes(...Object.keys(tensors).map((name) => specOf(name, 'float32')))
    const answer = await ask(rawRequest(tensors, { outputs: [{ name: 'c' }, { name: 'a' }] }))
    expect(Object.entries(tensorsIn(answer))).toEqual([
      ['c', tensors.c],
      ['a', tensors.a],
    ])
  })

  it('takes a tensor of many values', async () => {
    const x = {
      dtype: 'float32',
      shape: [1_000_003],
      data: Float32Array.from({ length: 1_000_003 }, Math.sin),
    } as const
    const { rawOutputContents } = await ask(rawRequest({ x }))
    // Vitest compares so many values for seconds.
    expect(Buffer.from(x.data.buffer).equals(rawOutputContents[0]!)).toBe(true)
  })
})

describe('ModelInfer refuses', () => {
  const x = { name: 'x', datatype: 'FP32', shape: [2n] }
  const raw = [new Uint8Array(8)]
  const refusals: Readonly<Record<string, [RequestInit, ...string[]]>> = {
    'fewer raw contents than inputs, and more': [
      { inputs: [x, { ...x, name: 'y' }], rawInputContents: raw },
      'raw_input_contents: has 1 tensors, there are 2 inputs',
    ],
    'values of both forms': [
      { inputs: [{ ...x, contents: { fp32Contents: [1, 2] } }], rawInputContents: raw },
      'inputs.0.contents: must not be given beside raw_input_contents',
    ],
    'values in the field of another type': [
      { inputs: [{ ...x, contents: { intContents: [1, 2] } }] },
      'inputs.0.contents.int_contents: FP32 goes in fp32_contents',
      'inputs.0.contents.fp32_contents: has 0 values, shape [2] needs 2',
    ],
    'integers that do not fit their type': [
      { inputs: [{ ...x, datatype: 'INT8', contents: { intContents: [1, 128] } }] },
      'inputs.0.contents.int_contents.1: must be a whole number from -128 to 127',
    ],
    'FP16 value by value': [
      { inputs: [{ ...x, datatype: 'FP16', contents: { fp32Contents: [1, 2] } }] },
      'inputs.0.contents: FP16 has no field there: send all inputs in raw_input_contents',
    ],
    'raw contents of another size': [
      { inputs: [x], rawInputContents: [new Uint8Array(7)] },
      'raw_input_contents.0: is 7, FP32 of shape [2] needs 8',
    ],
    'every bad field at once': [
      {
        inputs: [
          { name: '', datatype: 'FP33', shape: [-1n] },
          { name: 'x', datatype: 'FP32', shape: [1n], parameters: parameter('shared_memory_region', 'mine') },
          { name: 'x', datatype: 'FP32', shape: [1n], contents: { fp32Contents: [1] } },
        ],
        outputs: [{ name: 'y' }, { name: 'y', parameters: parameter('classification', 'x') }],
      },
      'inputs.0.name: is missing',
      'inputs.0.datatype: must be one of BOOL',
      'inputs.0.shape: must be a list of at most 16 whole numbers from 0',
      'inputs.1.parameters.shared_memory_region: shared memory is not supported',
      'inputs.2.name: "x" is given twice',
      'outputs.1.name: "y" is given twice',
      'outputs.1.parameters.classification: is not supported',
    ],
    'text that is not UTF-8': [
      { inputs: [{ ...x, datatype: 'BYTES', contents: { bytesContents: [Uint8Array.of(65), Uint8Array.of(0xc3)] } }] },
      'inputs.0.contents.bytes_contents.1: is not UTF-8',
    ],
    'a size beyond all': [{ inputs: [{ ...x, shape: [2n ** 62n] }], rawInputContents: raw }, 'inputs.0.shape: must be'],
    'no inputs': [{}, 'inputs: must be a list of at least one tensor'],
    'a name that is none': [{ modelName: '../etc', inputs: [x], rawInputContents: raw }, 'model: '],
    'outputs that the model does not have': [
      { inputs: [x], rawInputContents: raw, outputs: [{ name: 'z' }] },
      'outputs.0.name: the model has no output "z"',
    ],
  }

  it.each(Object.entries(refusals))('%s', async (_, [request, ...issues]) => {
    const { code, details, tidewayCode } = await refusalOf(ask({ modelName: 'echo', ...request }))
    for (const issue of issues) expect(details).toContain(issue)
    expect([status[code], tidewayCode]).toEqual(['INVALID_ARGUMENT', 'INPUT_REJECTED'])
  })

  it('bytes that are no message', async () => {
    const refusal = await refusalOf(
      rig.bytes('/inference.GRPCInferenceService/ModelInfer', Uint8Array.of(0x0a, 0xff, 0x01)),
    )
    expect(refusal).toMatchObject({ code: status.INVALID_ARGUMENT, tidewayCode: 'GRPC_MESSAGE_INVALID' })
  })

  it('more fields than it keeps', async () => {
    // 100,000 inputs that are empty: two bytes each.
    const message = Uint8Array.from({ length: 200_000 }, (_, i) => (i % 2 === 0 ? 0x2a : 0))
    const refusal = await refusalOf(rig.bytes('/inference.GRPCInferenceService/ModelInfer', message))
    expect(refusal).toMatchObject({ code: status.INVALID_ARGUMENT, tidewayCode: 'INPUT_REJECTED' })
  })

  it('what does not fit the model, and a model or version that is not there', async () => {
    expect(await refusalOf(ask(rawRequest({ y: floats(1) })))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      tidewayCode: 'INPUT_INVALID',
    })
    expect(await refusalOf(ask(rawRequest({ x: floats(1) }, { modelName: 'none' })))).toMatchObject({
      code: status.NOT_FOUND,
      tidewayCode: 'MODEL_NOT_FOUND',
    })
    expect(await refusalOf(ask(rawRequest({ x: floats(1) }, { modelVersion: '2' })))).toMatchObject({
      code: status.NOT_FOUND,
      tidewayCode: 'VERSION_NOT_FOUND',
    })
  })
})

function parameter(key: string, value: string) {
  return { [key]: { parameterChoice: { case: 'stringParam' as const, value } } }
}

/** `InferTensorContents` of a tensor. */
function contentsOf({ dtype, shape, data }: Tensor): object {
  expect(data).toHaveLength(elementCount(shape))
  const values = [...(data as Iterable<never>)]
  switch (dtype) {
    case 'bool':
      return { boolContents: values.map(Boolean) }
    case 'int64':
      return { int64Contents: values }
    case 'uint64':
      return { uint64Contents: values }
    case 'float32':
      return { fp32Contents: values }
    case 'float64':
      return { fp64Contents: values }
    case 'string':
      return { bytesContents: values.map((text) => new TextEncoder().encode(text)) }
    default:
      return dtype.startsWith('u') ? { uintContents: values } : { intContents: values }
  }
}
