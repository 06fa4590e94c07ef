import { gzipSync } from 'node:zlib'
import { checkDataset } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tensorDataset } from './dataset.js'
import { damaged, refusal, testFolder } from './files.fixture.js'
import { readIdx } from './idx.js'

const { write } = testFolder()
let files = 0
const read = (content: Uint8Array, limits = {}) => readIdx(write(`${files++}.idx`, content), { limits })

/** An IDX file by its description: two zero bytes, element type, sizes, values; big-endian. */
function idxBytes(type: number, shape: readonly number[], values: Uint8Array): Buffer {
  const start = Buffer.alloc(4 + shape.length * 4)
  start[2] = type
  start[3] = shape.length
  for (const [axis, size] of shape.entries()) start.writeUInt32BE(size, 4 + axis * 4)
  return Buffer.concat([start, values])
}

describe('readIdx', () => {
  it('reads images and labels, gzipped or not, into data to train on', async () => {
    const images = idxBytes(
      8,
      [3, 2, 2],
      Uint8Array.from({ length: 12 }, (_, at) => at * 20),
    )
    const labels = idxBytes(8, [3], Uint8Array.of(0, 2, 1))
    for (const pack of [gzipSync, (bytes: Buffer) => bytes]) {
      const dataset = tensorDataset(await read(pack(images)), await read(pack(labels)), {
        rowShape: [4],
        scale: 1 / 255,
        image: [2, 2, 1],
      })
      checkDataset(dataset)
      expect(dataset.inputs).toEqual({
        dtype: 'uint8',
        shape: [3, 4],
        data: Uint8Array.from({ length: 12 }, (_, at) => at * 20),
      })
      expect(dataset.targets).toEqual({ dtype: 'int32', shape: [3], data: Int32Array.of(0, 2, 1) })
    }
  })

  it('reads every element type', async () => {
    const values = Buffer.alloc(8)
    values.writeDoubleBE(-1.5)
    expect(await read(idxBytes(14, [1], values))).toEqual({ dtype: 'float64', shape: [1], data: Float64Array.of(-1.5) })
    values.writeFloatBE(0.5)
    expect((await read(idxBytes(13, [1], values.subarray(0, 4)))).data).toEqual(Float32Array.of(0.5))
    values.writeInt32BE(-70_000)
    expect((await read(idxBytes(12, [1], values.subarray(0, 4)))).data).toEqual(Int32Array.of(-70_000))
    values.writeInt16BE(-300)
    expect((await read(idxBytes(11, [1], values.subarray(0, 2)))).data).toEqual(Int16Array.of(-300))
    expect((await read(idxBytes(9, [1], Uint8Array.of(255)))).data).toEqual(Int8Array.of(-1))
  })

  it.each([
    ['nothing', Buffer.alloc(0), /does not begin as IDX/],
    ['another magic number', Buffer.from('\x89PNG\r\n'), /does not begin as IDX/],
    ['an unknown element type', idxBytes(10, [1], Uint8Array.of(1)), /does not begin as IDX/],
    ['no sizes', idxBytes(8, [], Uint8Array.of(1)), /claims 0 sizes/],
    ['a cut size', idxBytes(8, [1, 1], new Uint8Array()).subarray(0, 9), /ends within its sizes/],
    ['too few values', idxBytes(8, [2, 2], Uint8Array.of(1, 2, 3)), /ends after 3 of 4 bytes/],
    ['too many values', idxBytes(8, [2], Uint8Array.of(1, 2, 3)), /goes on after the values of shape \[2\]/],
    [
      'cut compression',
      gzipSync(idxBytes(8, [900], new Uint8Array(900).fill(7))).subarray(0, -4),
      /compression is broken/,
    ],
  ])('refuses %s', async (_, content, issue) => {
    const { code, issues } = await refusal(read(content))
    expect(code).toBe('IDX_INVALID')
    expect(issues.join()).toMatch(issue)
  })

  it('refuses claims and compressed bytes beyond the limits', async () => {
    const claim = idxBytes(14, [4_000_000, 4_000_000], new Uint8Array())
    expect(await refusal(read(claim))).toMatchObject({ code: 'DATA_LIMIT_EXCEEDED' })
    const bomb = gzipSync(idxBytes(8, [10_000_000], new Uint8Array(10_000_000)))
    expect(bomb.length).toBeLessThan(20_000)
    expect((await refusal(read(bomb, { maxDecodedBytes: 1_000_000 }))).code).toBe('DATA_LIMIT_EXCEEDED')
    // A header that claims less than what is behind it stops there.
    expect((await refusal(read(gzipSync(idxBytes(8, [2], new Uint8Array(10_000_000)))))).code).toBe('IDX_INVALID')
  })

  it('reads or refuses with a code whatever bytes come', async () => {
    const whole = gzipSync(
      idxBytes(
        8,
        [4, 3],
        Uint8Array.from({ length: 12 }, (_, at) => at),
      ),
    )
    const part = fc.double({ min: 0, max: 0.999, noNaN: true })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(part, part), { maxLength: 3 }), part, async (changes, keep) => {
        try {
          await read(damaged(whole, changes, keep))
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^(IDX_INVALID|DATA_LIMIT_EXCEEDED)$/)
        }
      }),
      { numRuns: 200 },
    )
  })
})
