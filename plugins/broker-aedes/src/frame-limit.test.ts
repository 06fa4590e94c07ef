import { expect, it } from 'vitest'
import { frameCounter } from './frame-limit.js'

/** A PUBLISH packet with this many bytes after its fixed header. */
function packet(body: number): Uint8Array {
  const header = [0x30]
  let left = body
  do {
    const more = left >= 128
    header.push((left % 128) | (more ? 0x80 : 0))
    left = Math.floor(left / 128)
  } while (left > 0)
  return Uint8Array.from([...header, ...new Uint8Array(body).fill(0xff)])
}

it('lets packets of every size up to the limit pass, however they are cut', () => {
  const stream = [0, 1, 127, 128, 300, 16_383, 16_384, 20_000].flatMap((size) => [...packet(size)])
  for (const step of [1, 7, 1000, stream.length]) {
    const tooLarge = frameCounter(20_004)
    for (let at = 0; at < stream.length; at += step)
      expect(tooLarge(Uint8Array.from(stream.slice(at, at + step)))).toBeUndefined()
  }
})

it('names the size of the first packet over the limit at its header, before its body', () => {
  const tooLarge = frameCounter(1_000)
  expect(tooLarge(packet(500))).toBeUndefined()
  expect(tooLarge(packet(998).subarray(0, 3))).toBe(1_001)
  const huge = frameCounter(1_000)
  expect(huge(Uint8Array.from([0x30, 0xff, 0xff, 0xff]))).toBeUndefined()
  expect(huge(Uint8Array.from([0x7f]))).toBe(5 + 268_435_455)
})
