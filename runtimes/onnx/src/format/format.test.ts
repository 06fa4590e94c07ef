import { create } from '@bufbuild/protobuf'
import { codeOf, type Tensor } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ModelSchema } from '../generated/onnx_pb.js'
import { field, productModel } from './format.fixture.js'
import { attributesOf, findInitializer, graphOf, makeNode, opsetOf, setInitializer } from './node.js'
import { tensorRanges } from './ranges.js'
import { readModel } from './read.js'
import { signatureOf } from './signature.js'
import { fromTensor, toTensor } from './tensor.js'
import { writeModel } from './write.js'

const weights: Tensor = { dtype: 'float32', shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) }
const small = (): Uint8Array => writeModel(productModel(weights))

function codeFrom(work: () => unknown): string | undefined {
  try {
    work()
  } catch (error) {
    return codeOf(error)
  }
  return undefined
}

/** A model whose one initializer is the given TensorProto bytes. */
function withTensor(tensor: Uint8Array): Uint8Array {
  return Uint8Array.from([...field(7, field(5, tensor)), ...field(8, [0x10, 17])])
}

describe('readModel and writeModel', () => {
  it('give back what was written, byte for byte', () => {
    const bytes = small()
    const model = readModel(bytes)
    expect(signatureOf(model)).toEqual({
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [null, 3] }],
    })
    expect(opsetOf(model)).toBe(17)
    expect(toTensor(findInitializer(graphOf(model), 'w')!)).toEqual(weights)
    expect(writeModel(model)).toEqual(bytes)
  })

  it('keep fields that they do not know, at every level', () => {
    const unknown = field(1000, [1, 2, 3])
    const tensor = Uint8Array.from([0x08, 1, 0x10, 2, ...field(9, [7]), ...unknown])
    const graph = Uint8Array.from([...field(5, tensor), ...unknown])
    const bytes = Uint8Array.from([...field(7, graph), ...field(8, [0x10, 17]), ...unknown])
    const again = readModel(writeModel(readModel(bytes)))
    for (const message of [again, graphOf(again), graphOf(again).initializer[0]!]) {
      expect(message.$unknown?.map((item) => [item.no, [...item.data]])).toEqual([[1000, [3, 1, 2, 3]]])
    }
  })

  it('keep attributes of every kind', () => {
    const attributes = {
      axis: -1n,
      alpha: 0.5,
      mode: 'linear',
      pads: [0n, 1n],
      scales: [0.25, 4],
      names: ['a', 'ü'],
      value: weights,
    }
    const model = productModel(weights)
    graphOf(model).node = [makeNode('Op', ['x'], ['y'], attributes)]
    expect(attributesOf(graphOf(readModel(writeModel(model))).node[0]!)).toEqual(attributes)
  })

  it('replace an initializer in place', () => {
    const model = readModel(small())
    const zero: Tensor = { dtype: 'float32', shape: [1], data: new Float32Array(1) }
    setInitializer(graphOf(model), 'w', zero)
    setInitializer(graphOf(model), 'v', zero)
    expect(graphOf(model).initializer.map((item) => [item.name, item.dims])).toEqual([
      ['w', [1n]],
      ['v', [1n]],
    ])
  })

  it('write a model of 110 MB with large tensors inside nodes too, and read them as views', () => {
    const data = new Float32Array(4 * 1024 * 6400).fill(0.5)
    const large: Tensor = { dtype: 'float32', shape: [4096, 6400], data }
    const constant: Tensor = { dtype: 'float32', shape: [1024 * 256], data: data.subarray(0, 1024 * 256) }
    const model = productModel(large)
    graphOf(model).node.push(makeNode('Constant', [], ['c'], { value: constant }))
    const bytes = writeModel(model)
    expect(bytes.byteLength).toBeGreaterThan(105_000_000)
    const before = process.memoryUsage().arrayBuffers
    const back = readModel(bytes)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
    expect(findInitializer(graphOf(back), 'w')?.rawData?.buffer).toBe(bytes.buffer)
    const [range] = tensorRanges(back, bytes)
    expect(range?.name).toBe('w')
    expect(new DataView(bytes.buffer).getFloat32(range?.begin ?? 0, true)).toBe(0.5)
    expect((range?.end ?? 0) - (range?.begin ?? 0)).toBe(data.byteLength)
    const peak = process.memoryUsage().arrayBuffers
    expect(Buffer.compare(writeModel(back), bytes)).toBe(0)
    // One copy of the values: the file itself.
    expect(process.memoryUsage().arrayBuffers - peak).toBeLessThan(bytes.byteLength * 1.1)
  })
})

describe('typed value lists', () => {
  it('of packed floats become views of the same bytes, 110 MB in under two seconds', () => {
    const count = 27_500_000
    const head = [0x08, ...varint(count), 0x10, 1]
    const length = [0x22, ...varint(count * 4)]
    const tensorLength = head.length + length.length + count * 4
    const graphHead = [0x2a, ...varint(tensorLength), ...head, ...length]
    const modelHead = [...field(8, [0x10, 17]), 0x3a, ...varint(graphHead.length + count * 4), ...graphHead]
    const bytes = new Uint8Array(modelHead.length + count * 4)
    bytes.set(modelHead)
    const started = performance.now()
    const tensor = graphOf(readModel(bytes)).initializer[0]!
    expect(performance.now() - started).toBeLessThan(2000)
    expect(tensor.dims).toEqual([BigInt(count)])
    expect(tensor.rawData?.buffer).toBe(bytes.buffer)
    expect(tensor.$unknown).toBeUndefined()
  })

  it('of integers keep every value of their type', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 20 }), (values) => {
        const packed = values.flatMap((value) => varint64(BigInt.asUintN(64, value)))
        const tensor = Uint8Array.from([0x08, values.length, 0x10, 7, ...field(7, packed)])
        const back = toTensor(graphOf(readModel(withTensor(tensor))).initializer[0]!)
        expect([...(back.data as BigInt64Array)]).toEqual(values)
      }),
    )
  })

  it('of int32 narrow to the element type, negative numbers too', () => {
    for (const [type, values] of [
      [3, [-128, 127, -1]],
      [5, [-32768, 32767, 0]],
      [6, [-(2 ** 31), 2 ** 31 - 1, 5]],
    ] as const) {
      const packed = values.flatMap((value) => varint64(BigInt.asUintN(64, BigInt(value))))
      const back = toTensor(
        graphOf(readModel(withTensor(Uint8Array.from([0x08, 3, 0x10, type, ...field(5, packed)])))).initializer[0]!,
      )
      expect([...(back.data as Int32Array)]).toEqual([...values])
    }
  })

  it('of floats one by one, unpacked, are joined', () => {
    const [one, two] = [1, 2].map((value) => [0x25, ...new Uint8Array(Float32Array.of(value).buffer)])
    const back = toTensor(
      graphOf(readModel(withTensor(Uint8Array.from([0x08, 2, 0x10, 1, ...one!, ...two!])))).initializer[0]!,
    )
    expect([...(back.data as Float32Array)]).toEqual([1, 2])
  })
})

describe('readModel refuses', () => {
  it('every truncation of a model', () => {
    const bytes = small()
    for (let length = 0; length < bytes.byteLength; length++) {
      expect(
        codeFrom(() => readModel(bytes.subarray(0, length))),
        `cut at ${length}`,
      ).toBe('MODEL_INVALID')
    }
  })

  it('altered bytes with a code, or reads them, but never anything else', () => {
    const bytes = small()
    fc.assert(
      fc.property(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = bytes.slice()
        altered[at] = (altered[at] ?? 0) ^ flip
        expect([undefined, 'MODEL_INVALID', 'MODEL_EXTERNAL_DATA']).toContain(codeFrom(() => readModel(altered)))
      }),
      { numRuns: 2000 },
    )
  })

  it('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        expect(codeFrom(() => readModel(bytes))).toBe('MODEL_INVALID')
      }),
    )
  })

  it('a few bytes that ask for millions of objects, before making them', () => {
    const nodes = new Uint8Array(20_000_000)
    for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a
    const bytes = new Uint8Array([0x3a, ...varint(nodes.length)].length + nodes.length)
    bytes.set([0x3a, ...varint(nodes.length)])
    bytes.set(nodes, bytes.length - nodes.length)
    const before = process.memoryUsage().heapUsed
    expect(codeFrom(() => readModel(bytes))).toBe('MODEL_INVALID')
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000)
  })

  it('messages nested without end', () => {
    let bytes = new Uint8Array(0)
    for (let depth = 0; depth < 400; depth++) bytes = Uint8Array.from(field(6, field(5, field(1, bytes))))
    expect(codeFrom(() => readModel(field(7, field(1, field(5, bytes)))))).toBe('MODEL_INVALID')
  })

  it('tensors in other files, by their names', () => {
    const model = productModel(weights)
    graphOf(model).initializer[0]!.dataLocation = 1
    expect(() => readModel(writeModel(model))).toThrowError(
      expect.objectContaining({ code: 'MODEL_EXTERNAL_DATA', data: { tensors: ['w'] } }),
    )
  })

  it('tensors whose values do not fill their shape, a missing graph and a missing operator set, all at once', () => {
    const model = productModel(weights)
    graphOf(model).initializer[0]!.dims = [2n, 4n]
    model.opsetImport = []
    expect(() => readModel(writeModel(model))).toThrowError(/24 bytes of values, its shape says 32.*no operator set/)
    expect(codeFrom(() => readModel(writeModel(create(ModelSchema, { irVersion: 8n }))))).toBe('MODEL_INVALID')
  })
})

describe('toTensor', () => {
  it('gives a view where the bytes are aligned and a copy where they are not', () => {
    const bytes = new Uint8Array(new ArrayBuffer(32))
    for (const [offset, same] of [
      [8, true],
      [9, false],
    ] as const) {
      const data = fromTensor('t', { dtype: 'float32', shape: [2], data: new Float32Array(2) })
      data.rawData = bytes.subarray(offset, offset + 8)
      expect((toTensor(data).data as Float32Array).buffer === bytes.buffer).toBe(same)
    }
  })

  it('refuses a type that JavaScript has no array for', () => {
    const data = fromTensor('t', { dtype: 'float16', shape: [1], data: new Uint16Array(1) })
    data.dataType = 16
    expect(codeFrom(() => toTensor(data))).toBe('TENSOR_TYPE_UNSUPPORTED')
  })
})

function varint(value: number): number[] {
  return varint64(BigInt(value))
}

function varint64(value: bigint): number[] {
  const bytes: number[] = []
  while (value >= 0x80n) {
    bytes.push(Number(value & 0x7fn) | 0x80)
    value >>= 7n
  }
  return [...bytes, Number(value)]
}
