import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from './pack.js'

/** Two arrays in each buffer, as small parameters lie, one that is as long as a buffer, and one without elements. */
function record() {
  const shared = Float32Array.from({ length: 10 }, (_, at) => at)
  const other = Float32Array.from({ length: 70_000 }, (_, at) => -at)
  return {
    name: 'größe',
    epoch: 3,
    history: [{ loss: 0.5 }, {}],
    parameters: { a: shared.subarray(0, 4), kept: Float32Array.of(7, Number.NaN), b: shared.subarray(4) },
    state: { a_m: other.subarray(0, 2), b_m: other.subarray(2), none: new Float32Array(0) },
    nothing: {},
  }
}

describe('a packed record', () => {
  it('is read by msgpackr, and is what it was', () => {
    const { bytes } = pack(record())
    const codec = new Packr({ useRecords: false, moreTypes: true })
    expect(codec.unpack(bytes)).toEqual(record())
    expect(unpack(bytes)).toEqual(record())
    expect(bytes.byteLength).toBe(bytes.buffer.byteLength)
  })

  it('says where each array lies', () => {
    const given = record()
    const { placed } = pack(given)
    for (const array of [...Object.values(given.parameters), ...Object.values(given.state)])
      expect(new Float32Array(Uint8Array.from(placed.get(array) ?? [1]).buffer)).toEqual(array)
  })

  it('is the same when arrays are spent, which are freed, and no others', () => {
    const given = record()
    const { a, b, kept } = given.parameters
    const { bytes } = pack(given, [a, b, ...Object.values(given.state)])
    expect(Buffer.compare(bytes, pack(record()).bytes)).toBe(0)
    for (const array of [a, b, ...Object.values(given.state)]) expect(array).toHaveLength(0)
    expect(kept).toEqual(Float32Array.of(7, Number.NaN))
  })

  it('frees no buffer in which an array lies that is kept', () => {
    const given = record()
    pack(given, [given.parameters.a])
    expect(given.parameters.a).toEqual(Float32Array.of(0, 1, 2, 3))
  })
})
