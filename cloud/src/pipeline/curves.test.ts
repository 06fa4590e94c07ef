import { expect, it } from 'vitest'
import { learningCurves } from './curves.js'

const curvesOf = (svg: string) => [...svg.matchAll(/<path class="curve [^"]*" d="([^"]*)"/g)].map(([, d = '']) => d)
/** The path of a curve, without that of its entry in the legend. */
const drawn = (svg: string) => curvesOf(svg).filter((_, at) => at % 2 === 0)
const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text)

it('draws each curve from its first epoch to its last, losses by the left axis and accuracy by the right one', () => {
  const svg = learningCurves([
    { loss: 2, valLoss: 1.5, valAccuracy: 0.5 },
    { loss: 1, valLoss: 1, valAccuracy: 0.75 },
    { loss: 0, valLoss: 0.5, valAccuracy: 1 },
  ])
  // x from 72 to 788; losses 0 to 2, accuracies 0.5 to 1 from the bottom at 360 to the top at 56.
  expect(drawn(svg)).toEqual(['M72 56L430 208L788 360', 'M72 132L430 208L788 284', 'M72 360L430 208L788 56'])
  expect(texts(svg)).toEqual(expect.arrayContaining(['0', '0.5', '2', '1', 'epoch', 'loss', 'validation accuracy']))
})

it('leaves a gap where a value is not finite or missing, and makes a dot of a lone one', () => {
  const svg = learningCurves([{ loss: 1 }, { loss: Number.NaN }, { loss: 3 }, {}, { loss: 2 }, { loss: 1 }])
  expect(drawn(svg)[0]?.match(/[MLh]/g)?.join('')).toBe('MhMhML')
  expect(svg).not.toMatch(/NaN|Infinity|undefined/)
})

it.each([
  ['no epoch', []],
  ['one epoch', [{ loss: 0 }]],
  ['equal values', [{ loss: 4 }, { loss: 4 }]],
  ['values below zero', [{ loss: -3 }, { loss: -5 }]],
  ['values of very different sizes', [{ loss: 1e30 }, { loss: 1e-30 }]],
  ['unknown metrics', [{ speed: 4 }]],
])('is a picture also for %s', (_, history) => {
  const svg = learningCurves(history as Record<string, number>[])
  expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  expect(drawn(svg)).toHaveLength(history.some((metrics) => 'loss' in metrics) ? 1 : 0)
  const ys = drawn(svg).flatMap((d) => [...d.matchAll(/[ML][\d.-]+ ([\d.-]+)/g)].map(([, y]) => Number(y)))
  for (const y of ys) expect(y >= 56 && y <= 360).toBe(true)
})

it('stays small for a hundred thousand epochs, and keeps the last one', () => {
  const svg = learningCurves(Array.from({ length: 100_000 }, (_, at) => ({ loss: 1 / (at + 1) })))
  expect(svg.length).toBeLessThan(20_000)
  expect(drawn(svg)[0]).toMatch(/L788 [\d.]+$/)
})
