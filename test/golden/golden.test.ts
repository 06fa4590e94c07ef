import { readFile } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { describeWithServer } from '../support/servers.js'
import { describeWithGpu } from '../support/vulkan.js'
import { difference } from './compare.js'
import { browserWasm, browserWebGpu } from './engines/browser.js'
import type { GoldenEngine } from './engines/index.js'
import { engines } from './engines/index.js'
import { onnxNodeWebGpu, onnxWasm } from './engines/node.js'
import { tfjsCpu, tfjsWasm, tfjsWebGpu } from './engines/tfjs.js'
import { GOLDEN } from './models.js'
import { enginesPage, listOf } from './page.js'
import { runGolden } from './run.js'

/** Those that are made and run fastest; `npm run golden` runs all. */
const SOME = ['dense', 'columns', 'lstm-int8'] as const

const cleanups: (() => Promise<void>)[] = []
const onFinished = (clean: () => Promise<void>): void => void cleanups.unshift(clean)
afterAll(async () => {
  for (const clean of cleanups) await clean()
})

async function agree(models: readonly (keyof typeof GOLDEN)[], ...tried: readonly GoldenEngine[]): Promise<void> {
  for (const { engine, models: found } of await runGolden({ models, engines: tried, onFinished }))
    for (const name of models) expect(found.get(name), `${engine.name}, ${name}`).toMatchObject({ within: true })
}

describe('the golden set', () => {
  it('is answered the same, within its tolerances, in WebAssembly', () => agree(SOME, onnxWasm))

  it('is answered the same by TensorFlow.js, whose layers are its own', () =>
    agree(['dense', 'conv', 'lstm'], tfjsWasm, tfjsCpu))
})

describeWithGpu('the golden set on WebGPU in Node', () => {
  it('is answered the same, within its tolerances', () => agree(SOME, onnxNodeWebGpu))

  it('is answered the same by TensorFlow.js', () => agree(['dense'], tfjsWebGpu))
})

describeWithServer('chromium', 'the golden set in a browser', () => {
  it('is answered the same, within its tolerances, in WebAssembly and on WebGPU', () =>
    agree(SOME, browserWasm, browserWebGpu))
})

describe('what engines are held to', () => {
  const y = (...values: number[]) =>
    ({ y: { dtype: 'float32', shape: [1, values.length], data: Float32Array.from(values) } }) as const

  it('is the largest difference, also to the largest value', () => {
    expect(difference(y(4, -7.5), y(4, -8))).toEqual({ absolute: 0.5, relative: 0.0625 })
    expect(difference(y(1, 2), y(1, 2))).toEqual({ absolute: 0, relative: 0 })
    expect(difference(y(0), y(0))).toEqual({ absolute: 0, relative: 0 })
  })

  it('is never met by NaN for a number, or by a number for NaN', () => {
    for (const [one, other] of [
      [Number.NaN, 1],
      [1, Number.NaN],
      [Infinity, 1],
    ] as const)
      expect(difference(y(one, 1), y(other, 1)).relative).toBe(Infinity)
    expect(difference(y(Number.NaN, 1), y(Number.NaN, 1)).relative).toBe(0)
  })

  it('is not met by other outputs or shapes', () => {
    expect(() => difference({}, y(1))).toThrow(/outputs are/)
    expect(() => difference(y(1, 2), y(1))).toThrow(/y is float32 \[1, 2\], not float32 \[1, 1\]/)
  })
})

describe('docs/engines.md', () => {
  it('says what the code has (else: npm run golden)', async () => {
    const page = await readFile(new URL('../../docs/engines.md', import.meta.url), 'utf8')
    expect(page).toContain(listOf())
    expect(page).toContain(`| model | ${engines.map(({ name }) => name).join(' | ')} |`)
    for (const name of Object.keys(GOLDEN))
      expect(page).toMatch(new RegExp(`^\\| ${name} \\| .*(e-\\d|equal|refused|not here)`, 'm'))
    expect(page).not.toMatch(/out of tolerance\*\*/)
  })

  it('marks what is out of tolerance, and names what is not here', () => {
    const outcome = { absolute: 0.02, relative: 0.1, within: false, provider: 'wasm' }
    const [first, second] = engines as readonly [GoldenEngine, GoldenEngine]
    const page = enginesPage([
      { engine: first, models: new Map([['dense', outcome]]) },
      { engine: second, models: new Map(), missing: 'it is not installed' },
    ])
    expect(page).toContain('| dense | **1e-1, 1e-1: out of tolerance** | not here |')
    expect(page).toContain(`${second.name}: it is not installed.`)
  })
})
