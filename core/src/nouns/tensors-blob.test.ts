import { describe, expect, it } from 'vitest'
import type { Tensor } from '../contracts/tensor.js'
import { decodeTensors, encodeTensors } from './tensors-blob.js'

const every: Record<string, Tensor> = {
  float32: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1.5, -0, Number.NaN, Infinity) },
  float64: { dtype: 'float64', shape: [1], data: Float64Array.of(Math.PI) },
  float16: { dtype: 'float16', shape: [1], data: Uint16Array.of(0x3c00) },
  int8: { dtype: 'int8', shape: [3], data: Int8Array.of(-128, 0, 127) },
  uint8: { dtype: 'uint8', shape: [1, 3], data: Uint8Array.of(0, 1, 255) },
  int16: { dtype: 'int16', shape: [1], data: Int16Array.of(-32768) },
  uint16: { dtype: 'uint16', shape: [1], data: Uint16Array.of(65535) },
  int32: { dtype: 'int32', shape: [1], data: Int32Array.of(-(2 ** 31)) },
  uint32: { dtype: 'uint32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
  int64: { dtype: 'int64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
  uint64: { dtype: 'uint64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  bool: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  string: { dtype: 'string', shape: [2], data: ['', 'tide ~ 潮'] },
  empty: { dtype: 'float32', shape: [0, 4], data: new Float32Array(0) },
  scalar: { dtype: 'float32', shape: [], data: Float32Array.of(7) },
}

/** A blob of this header and this many bytes of data. */
function blob(header: unknown, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + text.byteLength + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.byteLength), true)
  bytes.set(text, 8)
  return bytes
}

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: 'F32', shape, data_offsets: [begin, end] })

describe('the blob of tensors', () => {
  it('gives back tensors of every element type, in their groups', () => {
    const groups = { inputs: every, outputs: { 'a/b': every.int8 as Tensor } }
    expect(decodeTensors(encodeTensors(groups))).toEqual(groups)
  })

  it('is the same bytes for the same tensors, whatever their order', () => {
    const turned = Object.fromEntries(Object.entries(every).reverse())
    expect(encodeTensors({ inputs: turned })).toEqual(encodeTensors({ inputs: every }))
  })

  it('reads from a view that is not aligned and keeps no hold on it', () => {
    const bytes = encodeTensors({ inputs: every })
    const shifted = new Uint8Array(bytes.byteLength + 1)
    shifted.set(bytes, 1)
    const decoded = decodeTensors(shifted.subarray(1))
    shifted.fill(0xff)
    expect(decoded).toEqual({ inputs: every })
  })

  it('is plain safetensors: a padded header with offsets from the start of the data', () => {
    const bytes = encodeTensors({ outputs: { y: { dtype: 'float32', shape: [1], data: Float32Array.of(1) } } })
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    expect(length % 8).toBe(0)
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))).toEqual({
      'outputs/y': { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
    })
    expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 128, 63])
  })

  it('takes names that objects treat specially as names', () => {
    const header = '{"__proto__/__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    const decoded = decodeTensors(blob(header, 1))
    expect(Object.keys(decoded)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
  })

  const hostile: Record<string, Uint8Array> = {
    'no bytes': new Uint8Array(0),
    'half a length': new Uint8Array(5),
    'a length beyond the end': Uint8Array.of(100, 0, 0, 0, 0, 0, 0, 0, 123, 125),
    'a length of 2^64-1': new Uint8Array(16).fill(0xff),
    'a header that is not JSON': blob('{"a":'),
    'a header that is not UTF-8': Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28),
    'a list as header': blob([]),
    'an entry that is null': blob({ 'a/b': null }),
    'a name without a group': blob({ b: f32([1], 0, 4) }, 4),
    'an unknown type': blob({ 'a/b': { dtype: 'F7', shape: [1], data_offsets: [0, 4] } }, 4),
    'a negative size': blob({ 'a/b': f32([-1], 0, 4) }, 4),
    'a broken size': blob({ 'a/b': f32([0.5], 0, 2) }, 2),
    'a shape whose product overflows': blob({ 'a/b': f32([2 ** 40, 2 ** 40], 0, 4) }, 4),
    'a shape of a thousand axes': blob(
      {
        'a/b': f32(
          Array.from({ length: 1000 }, () => 1),
          0,
          4,
        ),
      },
      4,
    ),
    'offsets beyond the data': blob({ 'a/b': f32([2], 0, 8) }, 4),
    'offsets that run backwards': blob({ 'a/b': f32([1], 4, 0) }, 4),
    'offsets that are text': blob({ 'a/b': f32([1], '0', '4') }, 4),
    'fewer bytes than the shape needs': blob({ 'a/b': f32([2], 0, 4) }, 4),
    'entries that overlap': blob({ 'a/b': f32([1], 0, 4), 'a/c': f32([1], 0, 4) }, 4),
    'bytes that belong to no entry': blob({ 'a/b': f32([1], 0, 4) }, 8),
    'strings that are not strings': blob({ 'a/b': { dtype: 'STRINGS', shape: [1], data_offsets: [0, 4] } }, 4),
  }
  it.each(Object.keys(hostile))('refuses %s', (title) => {
    expect(() => decodeTensors(hostile[title] as Uint8Array)).toThrowError(
      expect.objectContaining({ code: 'TENSORS_INVALID' }),
    )
  })

  it('does not write a tensor whose values do not fill its shape', () => {
    const wrong: Tensor = { dtype: 'float32', shape: [3], data: new Float32Array(2) }
    expect(() => encodeTensors({ inputs: { wrong } })).toThrowError(
      expect.objectContaining({ code: 'TENSORS_INVALID' }),
    )
  })
})
