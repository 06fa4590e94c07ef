import { type BlobRef, limits, sha256Hex } from '@tideway/core'

/** A tensor's bytes within a file. */
export interface Range {
  readonly begin: number
  readonly end: number
}

/** Tensors smaller than this share a chunk with their neighbours. */
const SMALL_BYTES = 16 * 1024
/** Files above this are cut into larger chunks: a manifest, which lists them all, has room for some 700. */
const LARGE_BYTES = 16 * 1024 * 1024

/**
 * Where to cut a model file: each tensor of 16 KiB or more starts a chunk of its own and is split from its own start, so
 * that a version which changed one layer shares all other chunks with the version before, whatever moved in the file.
 *
 * @returns offsets, ascending, from 0 to `size`; neighbours are at most `limits.targetChunkBytes` apart, and
 * `limits.maxChunkBytes` in a file above 16 MiB.
 */
export function cutPoints(size: number, tensors: readonly Range[]): number[] {
  const cuts = new Set([0, size])
  for (const { begin, end } of tensors) {
    if (end - begin < SMALL_BYTES) continue
    cuts.add(begin)
    cuts.add(end)
  }
  const most = size > LARGE_BYTES ? limits.maxChunkBytes : limits.targetChunkBytes
  const sorted = [...cuts].sort((a, b) => a - b)
  const points: number[] = []
  sorted.forEach((start, i) => {
    const end = sorted[i + 1] ?? start
    points.push(start)
    for (let at = start + most; at < end; at += most) points.push(at)
  })
  return points
}

/** The pieces between the cut points, as views. */
export function cutFile(bytes: Uint8Array, tensors: readonly Range[]): Uint8Array[] {
  const points = cutPoints(bytes.byteLength, tensors)
  return points.slice(0, -1).map((start, i) => bytes.subarray(start, points[i + 1]))
}

/** What a file that is cut so is called. */
export function fileRef(bytes: Uint8Array, tensors: readonly Range[]): BlobRef {
  const chunks = cutFile(bytes, tensors).map((chunk) => ({ sha256: sha256Hex(chunk), size: chunk.byteLength }))
  return { sha256: sha256Hex(bytes), size: bytes.byteLength, chunks }
}
