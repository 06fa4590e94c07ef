import { fileURLToPath } from 'node:url'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { openPage, startBrowser } from '@tideway/test/support/browser'
import { bundlePage, servePages } from '@tideway/test/support/pages'
import { describeWithServer } from '@tideway/test/support/servers'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Asked } from './page.fixture.js'

declare const asked: Asked

describeWithServer('chromium', 'the onnx-web runtime in Chromium', (path) => {
  const cleanups: (() => Promise<void>)[] = []
  const onFinished = (clean: () => Promise<void>): void => void cleanups.unshift(clean)
  let isolated: Page
  let plain: Page
  let withoutGpu: Page

  beforeAll(async () => {
    const dir = await bundlePage(fileURLToPath(new URL('./page.fixture.ts', import.meta.url)), onFinished)
    const [threads, none] = await Promise.all(
      [true, false].map((cross) => servePages(dir, { isolated: cross }, onFinished)),
    )
    const browser = await startBrowser({ path, webgpu: true }, onFinished)
    isolated = (await openPage(browser, threads!)).page
    plain = (await openPage(browser, none!)).page
    withoutGpu = (await openPage(await startBrowser({ path }, onFinished), none!)).page
  })
  afterAll(async () => {
    for (const clean of cleanups) await clean()
  })

  runtimeContract('onnx-web on WebAssembly, two threads', {
    run: (id) => isolated.evaluate((test) => asked.run(test, { intraOpThreads: 2 }), id),
  })
  runtimeContract('onnx-web on WebAssembly, one thread', {
    run: (id) => plain.evaluate((test) => asked.run(test, {}), id),
  })
  runtimeContract('onnx-web on WebGPU', {
    run: (id) => plain.evaluate((test) => asked.run(test, { provider: 'webgpu' }), id),
  })

  describe('in a page', () => {
    it('has one thread where the page is not cross-origin isolated, and says so when more are asked for', async () => {
      expect(await plain.evaluate(() => asked.load({}))).toMatchObject({ provider: 'wasm', threads: 1 })
      expect(await plain.evaluate(() => asked.load({ intraOpThreads: 2 }))).toMatchObject({
        code: 'THREADS_UNAVAILABLE',
        message: expect.stringContaining('not cross-origin isolated'),
      })
      expect(await isolated.evaluate(() => asked.load({ intraOpThreads: 2 }))).toMatchObject({ threads: 2 })
    })

    it('carries tensors of every element type in and out on WebAssembly', async () => {
      const results = await plain.evaluate(() => asked.carry({}))
      expect(new Set(Object.values(results))).toEqual(new Set(['unchanged']))
    })

    it('takes on WebGPU the element types that WebGPU has, and refuses the others', async () => {
      const results = await plain.evaluate(() => asked.carry({ provider: 'webgpu' }))
      const together = await plain.evaluate(() => asked.carry({ provider: 'webgpu+wasm' }))
      for (const dtype of ['float32', 'float16', 'int32', 'uint32']) expect(results[dtype], dtype).toBe('unchanged')
      for (const dtype of ['float64', 'int8', 'uint16', 'int64', 'string'])
        expect(results[dtype], dtype).toBe('PROVIDER_UNAVAILABLE')
      expect(new Set(Object.values(together))).toEqual(new Set(['unchanged']))
    })

    it('loads a model from an address', async () => {
      const url = 'data:application/octet-stream;base64,AAAA'
      expect(await plain.evaluate((source) => asked.load({}, source), url)).toMatchObject({ code: 'MODEL_INVALID' })
      expect(await plain.evaluate(() => asked.load({}, '/no-such-model'))).toMatchObject({ code: 'MODEL_FETCH_FAILED' })
    })

    it('says why there is no WebGPU, and goes to WebAssembly where it is told to, with that reason', async () => {
      const refused = await withoutGpu.evaluate(() => asked.load({ provider: 'webgpu' }))
      expect(refused).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', providers: expect.not.arrayContaining(['webgpu']) })
      const went = await withoutGpu.evaluate(() =>
        asked.load({ provider: 'webgpu', fallback: { to: ['wasm'], onFallback: () => undefined } }),
      )
      expect(went).toMatchObject({
        provider: 'wasm',
        told: [expect.stringMatching(/^webgpu wasm .*: (the browser gives no adapter|this page has no WebGPU)/)],
      })
    })
  })
})
