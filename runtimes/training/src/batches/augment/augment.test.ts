import type { Augment } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Geometry } from '../geometry.js'
import { PlaceRandom } from '../random.js'
import { type Affine, aboutCentre, compose, type FillMode, resample, translation, windowed } from './affine.js'
import { Augmenter, type RowsArray } from './augmenter.js'
import { drawMix, mixClasses, mixRows } from './mixup.js'

const image = (height: number, width: number, channels = 1, layout: Geometry['layout'] = 'channelsLast'): Geometry => ({
  kind: 'image',
  height,
  width,
  channels,
  layout,
})
const series = (height: number, channels: number): Geometry => ({
  kind: 'series',
  height,
  width: 1,
  channels,
  layout: 'channelsLast',
})
const valuesOf = ({ height, width, channels }: Geometry): number => height * width * channels
const random = (place = 0, epoch = 0): PlaceRandom => new PlaceRandom().begin(5, 64, epoch, place)

function augmented<A extends RowsArray>(row: A, geometry: Geometry, steps: Augment, place = 0): A {
  const out = row.slice() as A
  new Augmenter(steps, geometry, row instanceof Uint8Array).apply(row, 0, out, 0, random(place))
  return out
}

function moved(
  row: Float32Array,
  geometry: Geometry,
  map: Affine,
  mode: FillMode = 'constant',
  value = 0,
): Float32Array {
  const out = new Float32Array(row.length)
  resample(row, out, geometry, map, { mode, value })
  return out
}

const geometries = fc
  .record({
    height: fc.integer({ min: 1, max: 7 }),
    width: fc.integer({ min: 1, max: 7 }),
    channels: fc.integer({ min: 1, max: 3 }),
    layout: fc.constantFrom<Geometry['layout'][]>('channelsLast', 'channelsFirst'),
  })
  .map((sizes): Geometry => ({ kind: 'image', ...sizes }))
const withRow = geometries.chain((geometry) =>
  fc.tuple(
    fc.constant(geometry),
    fc
      .array(fc.integer({ min: -1000, max: 1000 }), { minLength: valuesOf(geometry), maxLength: valuesOf(geometry) })
      .map((values) => Float32Array.from(values)),
  ),
)

/** The pixel at (x, y), by what each layout and border means; slow and plain. */
function pixel(row: Float32Array, g: Geometry, x: number, y: number, c: number, mode: FillMode, value: number): number {
  const place = (at: number, size: number): number => {
    if (mode === 'nearest') return Math.min(Math.max(at, 0), size - 1)
    const around = [...Array(size).keys()]
    const period = mode === 'wrap' ? around : [...around, ...around.toReversed()]
    return mode === 'constant' ? at : (period.at(at % period.length) as number)
  }
  const [px, py] = [place(x, g.width), place(y, g.height)]
  if (px < 0 || py < 0 || px >= g.width || py >= g.height) return value
  const at = g.layout === 'channelsLast' ? (py * g.width + px) * g.channels + c : (c * g.height + py) * g.width + px
  return row[at] as number
}

describe('resample', () => {
  it('by whole pixels takes the pixel that stood there, for each border and layout', () => {
    const shift = fc.integer({ min: -9, max: 9 })
    const modes = fc.constantFrom<FillMode[]>('constant', 'nearest', 'reflect', 'wrap')
    fc.assert(
      fc.property(withRow, shift, shift, modes, ([g, row], dx, dy, mode) => {
        const out = moved(row, g, translation(dx, dy), mode, 3)
        for (let y = 0; y < g.height; y++)
          for (let x = 0; x < g.width; x++)
            for (let c = 0; c < g.channels; c++)
              expect(pixel(out, g, x, y, c, 'constant', 0)).toBe(pixel(row, g, x - dx, y - dy, c, mode, 3))
      }),
    )
  })

  it('is the plain bilinear formula between pixels', () => {
    const part = fc.double({ min: -2, max: 2, noNaN: true })
    fc.assert(
      fc.property(withRow, fc.tuple(part, part, part, part, part, part), ([g, row], [a, b, c, d, e, f]) => {
        const out = moved(row, g, [a, b, c, d, e, f], 'reflect')
        for (let y = 0; y < g.height; y++)
          for (let x = 0; x < g.width; x++) {
            const [sx, sy] = [a * x + b * y + c, d * x + e * y + f]
            let sum = 0
            for (const [px, wx] of [
              [Math.floor(sx), 1 - (sx - Math.floor(sx))],
              [Math.floor(sx) + 1, sx - Math.floor(sx)],
            ] as const)
              for (const [py, wy] of [
                [Math.floor(sy), 1 - (sy - Math.floor(sy))],
                [Math.floor(sy) + 1, sy - Math.floor(sy)],
              ] as const)
                sum += wx * wy * pixel(row, g, px, py, 0, 'reflect', 0)
            // Rounding to float32 of sums of at most 1000.
            expect(Math.abs(pixel(out, g, x, y, 0, 'constant', 0) - sum)).toBeLessThan(1e-3)
          }
      }),
    )
  })

  it('by a quarter turn transposes and mirrors a square image', () => {
    const g = image(5, 5, 2)
    const row = Float32Array.from({ length: 50 }, (_, n) => n * n)
    const out = moved(
      row,
      g,
      aboutCentre(g, Math.cos(Math.PI / 2), -Math.sin(Math.PI / 2), Math.sin(Math.PI / 2), Math.cos(Math.PI / 2)),
    )
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 5; x++)
        // cos(90 degrees) is 6e-17 in doubles.
        expect(pixel(out, g, x, y, 1, 'constant', 0)).toBeCloseTo(pixel(row, g, 4 - y, x, 1, 'constant', 0), 3)
  })

  it('of composed maps moves as the first and then the second', () => {
    const g = image(6, 6)
    const row = Float32Array.from({ length: 36 }, (_, n) => n)
    const flip = aboutCentre(g, -1, 0, 0, 1)
    const both = moved(row, g, compose(translation(2, 1), flip))
    expect(both).toEqual(moved(moved(row, g, translation(2, 1)), g, flip))
    expect(both).not.toEqual(moved(moved(row, g, flip), g, translation(2, 1)))
  })

  it('of the whole window changes nothing, and of half of a ramp keeps it a ramp', () => {
    const g = series(8, 1)
    const row = Float32Array.from({ length: 8 }, (_, n) => n)
    expect(moved(row, g, windowed(g, 0, 0, 1, 8))).toEqual(row)
    expect([...moved(row, g, windowed(g, 0, 2, 1, 4), 'nearest')]).toEqual([
      1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25,
    ])
  })
})

describe('image steps', () => {
  const g = image(8, 8)
  const bytes = Uint8Array.from({ length: 64 }, (_, n) => 60 + n)
  const draws = 4000

  /** Each of `cells` is as frequent as the others: within 5 standard deviations of its binomial count. */
  const even = (counts: ReadonlyMap<unknown, number>, cells: number): void => {
    expect(counts.size).toBe(cells)
    const spread = 5 * Math.sqrt((draws / cells) * (1 - 1 / cells))
    for (const count of counts.values()) expect(Math.abs(count - draws / cells)).toBeLessThan(spread)
  }
  const counted = (draw: (place: number) => unknown): Map<unknown, number> => {
    const counts = new Map<unknown, number>()
    for (let place = 0; place < draws; place++) {
      const key = draw(place)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return counts
  }

  it('flip gives each of the four mirrorings equally often, and twice the same is the identity', () => {
    const steps: Augment = [{ type: 'flip', horizontal: true, vertical: true }]
    even(
      counted((place) => augmented(bytes, g, steps, place).join()),
      4,
    )
    for (let place = 0; place < 8; place++)
      expect(augmented(augmented(bytes, g, steps, place), g, steps, place)).toEqual(bytes)
  })

  it('crop with padding gives each of its offsets equally often, and the row as it stood there', () => {
    const steps: Augment = [{ type: 'crop', padding: 1 }]
    const counts = counted((place) => augmented(bytes, g, steps, place).join())
    even(counts, 9)
    for (const dx of [-1, 0, 1])
      for (const dy of [-1, 0, 1])
        expect(counts.has(Uint8Array.from(moved(Float32Array.from(bytes), g, translation(dx, dy))).join())).toBe(true)
  })

  it('shift draws evenly within its reach, in pixels and in shares of the side', () => {
    const ramp = Float32Array.from({ length: 64 }, (_, n) => n % 8)
    for (const x of [2, 0.25]) {
      const counts = counted((place) => {
        // A ramp that is moved by s to the right is s lower, where nothing came in.
        const s = 4 - (augmented(ramp, g, [{ type: 'shift', x, fillMode: 'nearest' }], place)[36] as number)
        expect(Math.abs(s)).toBeLessThanOrEqual(2.00001)
        return Math.min(9, Math.floor((s + 2) * 2.5))
      })
      even(counts, 10)
    }
  })

  it('rotate changes nothing of a round bowl but what interpolation does, and other images it does', () => {
    const radius = (n: number): number => Math.hypot((n % 8) - 3.5, Math.floor(n / 8) - 3.5)
    const bowl = Float32Array.from({ length: 64 }, (_, n) => radius(n) ** 2)
    const turned = augmented(bowl, g, [{ type: 'rotate', degrees: 90 }], 3)
    // Linear interpolation is wrong by at most an eighth of the second derivative, 2 for each axis.
    for (const [n, value] of turned.entries())
      if (radius(n) <= 3) expect(Math.abs(value - (bowl[n] as number))).toBeLessThan(0.50001)
    expect(augmented(bytes, g, [{ type: 'rotate', degrees: 90 }], 3)).not.toEqual(bytes)
  })

  it('brightness adds one number to all, evenly within delta of the full scale, and clips bytes', () => {
    const counts = counted((place) => {
      const out = augmented(bytes, g, [{ type: 'brightness', delta: 0.1 }], place)
      const more = (out[0] as number) - 60
      expect(out).toEqual(bytes.map((value) => value + more))
      return more
    })
    // ±25.5, rounded: -25 to 25 are an interval of 1 each.
    even(counts, 51)
    const clipped = augmented(new Uint8Array(64).fill(250), g, [{ type: 'brightness', delta: 1 }], 1)
    expect(new Set(clipped).size).toBe(1)
    const floats = augmented(new Float32Array(64), g, [{ type: 'brightness', delta: 0.5 }], 1)
    expect(Math.abs(floats[0] as number)).toBeLessThanOrEqual(0.5)
  })

  it('contrast keeps the mean of each channel and scales the rest alike', () => {
    const rgb = image(4, 4, 3)
    const row = Float32Array.from({ length: 48 }, (_, n) => (n % 3) * 100 + n)
    const out = augmented(row, rgb, [{ type: 'contrast', factor: 0.5 }])
    for (const c of [0, 1, 2]) {
      const of = (all: Float32Array): number[] => [...all].filter((_, n) => n % 3 === c)
      const mean = (all: readonly number[]): number => all.reduce((a, b) => a + b) / all.length
      expect(mean(of(out))).toBeCloseTo(mean(of(row)), 3)
      const times = (out[45] as number) - (out[0] as number)
      expect((of(out)[5] as number) - (of(out)[0] as number)).toBeCloseTo((times / 45) * 15, 3)
      expect(Math.abs(times / 45 - 1)).toBeLessThanOrEqual(0.5)
    }
  })

  it('noise has mean 0 and the standard deviation asked for, of the full scale', () => {
    const large = image(64, 64)
    const out = augmented(new Uint8Array(4096).fill(128), large, [{ type: 'noise', stddev: 0.05 }])
    const mean = out.reduce((a, b) => a + b, 0) / 4096
    const variance = out.reduce((sum, value) => sum + (value - 128) ** 2, 0) / 4096
    // 5 standard errors: of a mean σ/√n, of a variance σ²√(2/n); rounding to bytes adds 1/12.
    expect(Math.abs(mean - 128)).toBeLessThan((5 * 12.75) / 64)
    expect(Math.abs(variance - 12.75 ** 2 - 1 / 12)).toBeLessThan(5 * 12.75 ** 2 * Math.sqrt(2 / 4096))
  })

  it('cutout covers exactly its square, anywhere within the image equally often', () => {
    even(
      counted((place) => {
        const out = augmented(bytes, g, [{ type: 'cutout', size: 6, fillValue: 7 }], place)
        expect(out.filter((value) => value === 7)).toHaveLength(36)
        expect(out.filter((value, n) => value !== 7 && value !== bytes[n])).toHaveLength(0)
        return out.indexOf(7)
      }),
      9,
    )
  })

  it('probability changes that share of the rows and leaves the others as they are', () => {
    const counts = counted(
      (place) => augmented(bytes, g, [{ type: 'cutout', size: 1, probability: 0.25 }], place).join() === bytes.join(),
    )
    expect(Math.abs((counts.get(false) ?? 0) - draws / 4)).toBeLessThan(5 * Math.sqrt(draws * 0.25 * 0.75))
  })

  it('moves that follow one another are one interpolation, changes between them part it', () => {
    const row = Float32Array.from(bytes)
    const shift = { type: 'shift', x: 1.5, fillMode: 'nearest' } as const
    const mean = (all: Float32Array): number => all.reduce((a, b) => a + b) / all.length
    const sharp = augmented(row, g, [{ type: 'zoom', factor: 0.3, fillMode: 'nearest' }, shift])
    expect(mean(sharp)).toBeGreaterThan(60)
    expect(augmented(row, g, [shift, { type: 'cutout', size: 8, fillValue: 9 }])).toEqual(new Float32Array(64).fill(9))
    const covered = augmented(row, g, [
      { type: 'cutout', size: 8, fillValue: 9 },
      { type: 'shift', x: 3, fillValue: 0 },
    ])
    expect(Math.min(...covered)).toBe(0)
  })
})

describe('series steps', () => {
  const g = series(10, 2)
  const row = Float32Array.from({ length: 20 }, (_, n) => n)

  it('scale multiplies each feature with one number of its own', () => {
    const out = augmented(
      row.map((value) => value + 1),
      g,
      [{ type: 'scale', stddev: 0.1 }],
    )
    const factors = [...out].map((value, n) => value / (n + 1))
    for (const [n, factor] of factors.entries()) expect(factor).toBeCloseTo(factors[n % 2] as number, 5)
    expect(factors[0]).not.toBeCloseTo(factors[1] as number, 4)
  })

  it('jitter changes every value by a little, and timeShift moves by whole steps', () => {
    const jittered = augmented(row, g, [{ type: 'jitter', stddev: 0.01 }])
    for (const [n, value] of jittered.entries()) {
      expect(value).not.toBe(row[n])
      expect(Math.abs(value - n)).toBeLessThan(0.1)
    }
    const seen = new Set<number>()
    for (let place = 0; place < 200; place++) {
      const out = augmented(row, g, [{ type: 'timeShift', steps: 0.2, fillMode: 'wrap' }], place)
      seen.add(out[0] as number)
      expect([...out].sort((a, b) => a - b)).toEqual([...row])
      for (let step = 0; step < 10; step++) expect(out[2 * step + 1]).toBe((out[2 * step] as number) + 1)
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 2, 4, 16, 18])
  })

  it('window stretches a part of the row to the whole of it', () => {
    for (let place = 0; place < 20; place++) {
      const out = augmented(row, g, [{ type: 'window', length: 5 }], place)
      const rise = ((out[14] as number) - (out[4] as number)) / 5
      // Half as many steps in as many places: half the rise of 2.
      expect(rise).toBeCloseTo(1, 5)
    }
  })
})

describe('mixup', () => {
  it('mixes rows and targets by the same shares, which add up to 1', () => {
    const rows = 16
    const data = Float32Array.from({ length: rows * 3 }, (_, n) => Math.floor(n / 3))
    const labels = Int32Array.from({ length: rows }, (_, n) => n)
    const mix = drawMix(rows, { alpha: 0.4 }, random())
    const out = data.slice()
    mixRows(out, data, 3, mix)
    const soft = new Float32Array(rows * rows).fill(9)
    mixClasses(soft, labels, rows, mix)
    expect([...mix.partner].sort((a, b) => a - b)).toEqual([...labels])
    for (let row = 0; row < rows; row++) {
      const shares = soft.subarray(row * rows, (row + 1) * rows)
      expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 6)
      // The rows are their own labels: the mixed row is the mean label.
      expect(out[row * 3]).toBeCloseTo(
        shares.reduce((sum, share, label) => sum + share * label, 0),
        4,
      )
    }
  })

  it.each([0.05, 0.2, 1, 4])('draws shares of Beta(%d, alpha): their mean and variance', (alpha) => {
    const numbers = random(1)
    const count = 20_000
    const drawn = Float64Array.from({ length: count }, () => numbers.beta(alpha))
    const mean = drawn.reduce((a, b) => a + b) / count
    const variance = drawn.reduce((sum, share) => sum + (share - 0.5) ** 2, 0) / count
    const exact = 1 / (4 * (2 * alpha + 1))
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(exact / count))
    // The squared distance lies within [0, 1/4]: its own deviation is below 1/8.
    expect(Math.abs(variance - exact)).toBeLessThan((5 * 0.125) / Math.sqrt(count))
    expect(drawn.every((share) => share >= 0 && share <= 1)).toBe(true)
  })
})
