import { limits } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { cutFile, cutPoints } from './chunks.js'

const KIB = 1024

describe('cutting a model file', () => {
  it('covers every byte once, in pieces of at most the target size', () => {
    const bytes = Uint8Array.from({ length: 500 * KIB }, (_, i) => (i * 7) % 251)
    const pieces = cutFile(bytes, [
      { begin: 1_000, end: 1_000 + 392 * KIB },
      { begin: 410 * KIB, end: 414 * KIB },
    ])
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
    expect(Math.max(...pieces.map((piece) => piece.byteLength))).toBeLessThanOrEqual(limits.targetChunkBytes)
  })

  it('splits a large tensor from its own start, so that a move keeps its pieces', () => {
    const tensor = Uint8Array.from({ length: 200 * KIB }, (_, i) => (i * 31) % 255)
    const file = (prefix: number) => {
      const bytes = new Uint8Array(prefix + tensor.length + 64)
      bytes.set(tensor, prefix)
      return cutFile(bytes, [{ begin: prefix, end: prefix + tensor.length }]).map((piece) =>
        Buffer.from(piece).toString('base64'),
      )
    }
    const [before, after] = [file(100), file(5_000)]
    expect(before.filter((piece) => after.includes(piece))).toHaveLength(Math.ceil(200 / 64) + 1)
  })

  it('makes larger pieces of a file above 16 MiB, none larger than a chunk may be', () => {
    const size = 17 * KIB * KIB
    const points = cutPoints(size, [{ begin: 100, end: size - 100 }])
    expect(points.slice(0, 4)).toEqual([0, 100, 100 + limits.maxChunkBytes, 100 + 2 * limits.maxChunkBytes])
    expect(points.at(-1)).toBe(size)
    expect(Math.max(...points.slice(1).map((point, i) => point - points[i]!))).toBe(limits.maxChunkBytes)
  })

  it('keeps small tensors together', () => {
    expect(cutPoints(10 * KIB, [{ begin: 10, end: 8 * KIB }])).toEqual([0, 10 * KIB])
  })
})
