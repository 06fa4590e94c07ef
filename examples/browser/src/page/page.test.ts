import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { openPage, startBrowser } from '@tideway/test/support/browser'
import { temporaryFolder } from '@tideway/test/support/folder'
import { servePages } from '@tideway/test/support/pages'
import { describeWithServer } from '@tideway/test/support/servers'
import type { Page } from 'playwright-core'
import { build, defaultClientConditions } from 'vite'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { writeFiles } from '../model/files.js'
import { trainDigits } from '../model/train.js'
import { CLASSES, INPUT, PIXELS } from '../shared.js'
import { drawings, triangle } from './strokes.fixture.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

describeWithServer('chromium', 'the page', (path) => {
  const cleanups: (() => Promise<void>)[] = []
  const onFinished = (clean: () => Promise<void>): void => void cleanups.unshift(clean)
  let url: string
  let page: Page
  let problems: readonly string[]

  beforeAll(async () => {
    const dir = await temporaryFolder(onFinished)
    const [publicDir, outDir] = [join(dir, 'public'), join(dir, 'site')]
    await mkdir(publicDir)
    await writeFiles(join(publicDir, 'model'), await trainDigits({ epochs: 3, rows: 5_000 }))
    const conditions = ['@tideway/source', ...defaultClientConditions]
    await build({
      root,
      configFile: join(root, 'vite.config.ts'),
      logLevel: 'error',
      publicDir,
      resolve: { conditions },
      build: { outDir },
    })
    url = await servePages(outDir, { isolated: true }, onFinished)
    ;({ page, problems } = await openPage(await startBrowser({ path, webgpu: true }, onFinished), url))
  })
  afterAll(async () => {
    for (const clean of cleanups) await clean()
  })
  beforeEach(async () => {
    await page.setViewportSize({ width: 1100, height: 900 })
    await page.goto(url)
    await page.waitForSelector('body[data-ready]')
  })

  /** Draws strokes on the board with the mouse; the places are shares of its side. */
  async function draw(strokes: readonly (readonly (readonly [number, number])[])[]): Promise<void> {
    await page.click('#clear')
    const box = (await page.locator('#board').boundingBox())!
    for (const [first, ...rest] of strokes) {
      await page.mouse.move(box.x + first![0] * box.width, box.y + first![1] * box.height)
      await page.mouse.down()
      for (const [x, y] of rest) await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 2 })
      await page.mouse.up()
    }
  }

  /** Waits for the answer to be this one. */
  const reads = (wanted: string) => page.locator('#answer strong', { hasText: wanted }).waitFor({ timeout: 10_000 })

  it('reads digits that are drawn with the mouse', async () => {
    for (const [digit, strokes] of Object.entries(drawings)) {
      await draw(strokes)
      await reads(digit)
    }
    expect(await page.textContent('#status')).toMatch(/^Runs here on WebAssembly, \d threads?: \d+\.\d ms a drawing$/)
    await page.click('#clear')
    await reads('–')
    await page.click('#sample')
    await page.locator('#answer span', { hasText: 'sure' }).waitFor()
    expect(problems).toEqual([])
  })

  it('learns a glyph from a few drawings, keeps the digits, and gives out the model', async () => {
    const keep = async (size: number): Promise<void> => {
      await draw([triangle(size)])
      await page.click('#keep')
    }
    await page.locator('#labels label', { hasText: '△' }).click()
    for (const size of [0.2, 0.25, 0.3, 0.33]) await keep(size)
    await page.locator('#kept .wrong').nth(3).waitFor()
    await page.click('#train')
    await page.waitForSelector('#download:not([hidden])')
    const outcome = await page.textContent('#outcome')
    expect(outcome).toContain('0 of 4 right before, 4 of 4 now')
    const counts = /Real digits(\d+) of (\d+) right before, (\d+) now/.exec(outcome ?? '')
    const [before, total, after] = counts!.slice(1).map(Number)
    expect(total).toBe(200)
    expect(after).toBeGreaterThan(before! - 10)
    expect(await page.locator('#kept .right').count()).toBe(4)
    // One that it has not seen, and a digit.
    await draw([triangle(0.28)])
    await reads('△')
    await draw(drawings['7']!)
    await reads('7')
    const bytes = await page.evaluate(async () => {
      const { href } = document.getElementById('download') as HTMLAnchorElement
      return [...new Uint8Array(await (await fetch(href)).arrayBuffer())]
    })
    const session = await createOnnxNodeRuntime().load(Uint8Array.from(bytes))
    const image = { dtype: 'float32', shape: [1, 28, 28, 1], data: new Float32Array(PIXELS) } as const
    expect((await session.run({ [INPUT]: image }))['probabilities']?.shape).toEqual([1, CLASSES.length])
    await session.dispose()
    await page.click('#reset')
    await draw([triangle(0.28)])
    await page.locator('#answer strong', { hasText: /\d/ }).waitFor()
    expect(problems).toEqual([])
  })

  it('changes to WebGPU and says so, with the same answer', async () => {
    await draw(drawings['3']!)
    await reads('3')
    await page.locator('#providers label', { hasText: 'WebGPU' }).click()
    await page.locator('#status', { hasText: 'Runs here on WebGPU' }).waitFor({ timeout: 60_000 })
    await reads('3')
    await draw(drawings['0']!)
    await reads('0')
    expect(await page.locator('#problem').isVisible()).toBe(false)
  })

  it('fits a phone, and every control has a name', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    expect(content).toBeLessThanOrEqual(window!)
    for (const role of ['button', 'radio', 'list', 'group'] as const)
      for (const element of await page.getByRole(role).all())
        expect(
          await element.evaluate((node) => node.ariaLabel ?? node.closest('label,fieldset,button,ul,ol')?.textContent),
          role,
        ).toMatch(/\S/)
  })
})
