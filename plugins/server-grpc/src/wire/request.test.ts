import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { Issues } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { InferTensorContentsSchema, ModelInferRequestSchema } from '../generated/inference_pb.js'
import { Contents } from './contents.js'
import { readRequest } from './request.js'

const { LengthDelimited, Varint, Bit32, Bit64, StartGroup, EndGroup } = WireType

describe('a request', () => {
  it('is read with all that it has', () => {
    const parameter = (choice: object) => ({ parameterChoice: choice }) as { parameterChoice: never }
    const message = create(ModelInferRequestSchema, {
      modelName: 'm',
      modelVersion: '2',
      id: '潮',
      parameters: {
        b: parameter({ case: 'boolParam', value: true }),
        i: parameter({ case: 'int64Param', value: -(2n ** 63n) }),
        s: parameter({ case: 'stringParam', value: 's' }),
        d: parameter({ case: 'doubleParam', value: 0.5 }),
        u: parameter({ case: 'uint64Param', value: 7n }),
        none: parameter({ case: undefined }),
      },
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2n, -1n], parameters: { p: parameter({ case: 'boolParam' }) } }],
      outputs: [{ name: 'y', parameters: { q: parameter({ case: 'stringParam', value: 'r' }) } }],
      rawInputContents: [Uint8Array.of(1, 2)],
    })
    const request = readRequest(toBinary(ModelInferRequestSchema, message))
    expect(request).toMatchObject({
      model: 'm',
      version: '2',
      id: '潮',
      parameters: { b: true, i: -(2n ** 63n), s: 's', d: 0.5, u: 7, none: undefined },
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2, -1] }],
      outputs: [{ name: 'y', parameters: { q: 'r' } }],
    })
    expect(request.raw.map((bytes) => [...bytes])).toEqual([[1, 2]])
  })

  it('may come in any order, with fields that nobody knows and shapes that are not packed', () => {
    const input = new BinaryWriter()
      .tag(3, Varint)
      .int64(4)
      .tag(99, StartGroup)
      .tag(1, Varint)
      .int64(5)
      .tag(99, EndGroup)
      .tag(3, Varint)
      .int64(6)
      .tag(1, LengthDelimited)
      .string('x')
    const message = new BinaryWriter()
      .tag(5, LengthDelimited)
      .bytes(input.finish())
      .tag(77, Bit64)
      .double(1)
      // A field of ours with another wire type is one that nobody knows.
      .tag(1, Bit32)
      .float(1)
      .tag(1, LengthDelimited)
      .string('first')
      .tag(1, LengthDelimited)
      .string('last')
    const request = readRequest(message.finish())
    expect(request).toMatchObject({ model: 'last', inputs: [{ name: 'x', shape: [4, 6] }] })
  })

  it('is refused where text is not UTF-8, and where it ends within a field', () => {
    expect(() => readRequest(Uint8Array.of(0x0a, 1, 0xff))).toThrow()
    expect(() => readRequest(Uint8Array.of(0x0a, 5, 0x61))).toThrow()
    expect(() => readRequest(Uint8Array.of(0x2a, 2, 0x1a, 9))).toThrow()
  })
})

describe('values one by one', () => {
  const read = (...messages: Uint8Array[]) => {
    const contents = new Contents()
    for (const message of messages) contents.read(message)
    return contents
  }
  const valuesOf = (contents: Contents, dtype: Parameters<Contents['values']>[0], count: number) => {
    const issues = new Issues('it')
    const values = contents.values(dtype, [count], 'inputs.0', issues)
    issues.throwIfAny()
    return values
  }

  it('are read packed, not packed and in several parts, in their order', () => {
    const floats = new BinaryWriter().tag(6, LengthDelimited).fork().float(1).float(2).join().tag(6, Bit32).float(3)
    const more = new BinaryWriter().tag(6, LengthDelimited).fork().float(4).join()
    const contents = read(floats.finish(), more.finish())
    expect(valuesOf(contents, 'float32', 4)).toEqual(Float32Array.of(1, 2, 3, 4))
    const integers = new BinaryWriter()
      .tag(2, Varint)
      .int32(-1)
      .tag(2, LengthDelimited)
      .fork()
      .int32(127)
      .int32(-128)
      .join()
    expect(valuesOf(read(integers.finish()), 'int8', 3)).toEqual(Int8Array.of(-1, 127, -128))
  })

  it('that end within a value are no message', () => {
    const halved = new BinaryWriter().tag(6, LengthDelimited).bytes(new Uint8Array(6)).finish()
    expect(() => read(halved)).toThrow(RangeError)
    const open = new BinaryWriter().tag(3, LengthDelimited).bytes(Uint8Array.of(1, 0x80)).tag(1, Varint).bool(true)
    expect(() => read(open.finish())).toThrow()
  })

  it('take no more memory than their array', () => {
    const packed = new BinaryWriter()
      .tag(1, LengthDelimited)
      .bytes(new Uint8Array(8 * 1024 ** 2).fill(1))
      .finish()
    const before = process.memoryUsage()
    const values = valuesOf(read(packed), 'bool', 8 * 1024 ** 2)
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    expect(values).toHaveLength(8 * 1024 ** 2)
    expect(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(40 * 1024 ** 2)
  })

  it('are empty where nothing was given', () => {
    expect(new Contents().isEmpty).toBe(true)
    expect(valuesOf(read(toBinary(InferTensorContentsSchema, create(InferTensorContentsSchema))), 'uint64', 0)).toEqual(
      new BigUint64Array(0),
    )
  })
})
