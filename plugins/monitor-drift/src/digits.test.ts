import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import {
  createProfileBuilder,
  decodeBins,
  type Profile,
  type ProfileSchema,
  profileDigest,
  suggestProfileSchema,
} from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { createTrack } from './track.js'

const SIDE = 28
const SIZE = SIDE * SIDE

/** 1,000 real digits of each of four classes: enough for a baseline and windows that share no row. */
function loadDigits(): Float32Array[] {
  const resolve = createRequire(import.meta.url).resolve
  return [0, 3, 4, 7].flatMap((digit) => {
    const text = readFileSync(resolve(`mnist/src/digits/${digit}.json`), 'utf8')
    const { data } = JSON.parse(text) as { data: number[] }
    return Array.from({ length: Math.min(1000, data.length / SIZE) }, (_, i) =>
      Float32Array.from(data.slice(i * SIZE, (i + 1) * SIZE)),
    )
  })
}

/** A lens with a film on it: each pixel the mean of its 3x3 surroundings, then brighter, at most 1. */
function dirty(image: Float32Array, brighten: (value: number) => number): Float32Array {
  return image.map((_, at) => {
    let sum = 0
    for (const dy of [-1, 0, 1])
      for (const dx of [-1, 0, 1]) {
        const [x, y] = [(at % SIDE) + dx, Math.floor(at / SIDE) + dy]
        if (x >= 0 && y >= 0 && x < SIDE && y < SIDE) sum += image[y * SIDE + x] ?? 0
      }
    return Math.min(1, brighten(sum / 9))
  })
}

const suggested = suggestProfileSchema({
  signature: {
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, SIZE] }],
    outputs: [{ name: 'p', dtype: 'float32', shape: [null, 10] }],
  },
  image: [SIDE, SIDE, 1],
  task: 'classification',
})
// No model here: what the images alone tell.
const schema: ProfileSchema = { ...suggested, statistics: suggested.statistics.filter((item) => 'input' in item) }

function profileOf(images: readonly Float32Array[]): Profile {
  const builder = createProfileBuilder(schema)
  for (const data of images) builder.observe({ x: { dtype: 'float32', shape: [1, SIZE], data } }, {})
  return builder.seal(new Date(0), new Date(1))
}

/** Deterministic, and different for each split. */
function shuffled<T>(items: readonly T[], split: number): T[] {
  const hash = (i: number) =>
    Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(split + 1, 0x85ebca6b), 0xc2b2ae35) >>> 0
  return items
    .map((item, i) => ({ item, key: hash(i) }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

describe('drift on real digits', () => {
  const digits = loadDigits()

  function judge(baselineImages: readonly Float32Array[], images: readonly Float32Array[]) {
    const profile = profileOf(baselineImages)
    const bins = new Map(Object.entries(profile.sketches).map(([name, text]) => [name, decodeBins(text)]))
    const baseline = {
      model: 'digits',
      manifestDigest: 'd',
      schema,
      schemaDigest: profileDigest(schema),
      profile,
      bins,
    }
    const schedule = { alarmRate: 0.001, firstLookRows: 50, segmentRows: 6400 }
    const track = createTrack(baseline, schedule, { fleet: 'f', device: 'd' })
    for (let at = 0; at < images.length; at += 100) track.add(profileOf(images.slice(at, at + 100)), '')
    return track.verdict()
  }

  it('is not seen in 40 of 40 undrifted shares of 667 rows', () => {
    for (let split = 0; split < 40; split++) {
      const images = shuffled(digits, split)
      expect(judge(images.slice(0, 1000), images.slice(1000, 1667)).flagged, `split ${split}`).toBe(false)
    }
  })

  it('is seen through a dirty lens within 100 rows, in 10 of 10', () => {
    for (let split = 0; split < 10; split++) {
      const images = shuffled(digits, split)
      for (const brighten of [(value: number) => value + 0.15, (value: number) => value * 1.3]) {
        const seen = images.slice(1000, 1100).map((image) => dirty(image, brighten))
        const verdict = judge(images.slice(0, 1000), seen)
        expect(verdict.flagged, `split ${split}`).toBe(true)
        expect(verdict.score).toBeGreaterThan(5)
      }
    }
  })
})
