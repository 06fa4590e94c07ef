import { fileURLToPath } from 'node:url'
import type { Tensor } from '@tideway/core'
import type { Page } from 'playwright-core'
import { sourceFile } from '../../support/ask.js'
import { openPage, startBrowser } from '../../support/browser.js'
import type { OnFinished } from '../../support/folder.js'
import { bundlePage, servePages } from '../../support/pages.js'
import { serverPath } from '../../support/server-path.js'
import type { GoldenEngine } from './engine.js'
import type { GoldenPage, TextTensor } from './page.js'

/** In the page. */
declare const golden: GoldenPage

/** ONNX Runtime in a page of headless Chromium; WebGPU there computes on the processor. */
function inChromium(provider: 'wasm' | 'webgpu'): GoldenEngine {
  return {
    name: `browser ${provider}`,
    what: provider === 'wasm' ? 'ONNX Runtime in WebAssembly, in Chromium' : 'ONNX Runtime on Chromium’s WebGPU',
    on: provider === 'wasm' ? 'cpu' : 'gpu',
    async open(onFinished) {
      const path = serverPath('chromium')
      if (path === undefined) return 'Chromium is not installed (apt-get install chromium)'
      const page = await pageOf(path, onFinished)
      return async ({ onnx, inputs }) => {
        const given = Object.entries(inputs).map(([name, tensor]) => [name, textOf(tensor)] as const)
        const answer = await page.evaluate(([to, model, tensors]) => golden.answer(to, model, tensors), [
          provider,
          Buffer.from(onnx).toString('base64'),
          Object.fromEntries(given),
        ] as const)
        const outputs = Object.entries(answer.outputs).map(([name, tensor]) => [name, tensorOf(tensor)] as const)
        return { outputs: Object.fromEntries(outputs), provider: answer.provider }
      }
    },
  }
}

export const browserWasm = inChromium('wasm')
export const browserWebGpu = inChromium('webgpu')

/** One page for both, by who cleans up. */
const pages = new WeakMap<OnFinished, Promise<Page>>()

function pageOf(path: string, onFinished: OnFinished): Promise<Page> {
  const known = pages.get(onFinished)
  const page = known ?? open(path, onFinished)
  pages.set(onFinished, page)
  return page
}

async function open(path: string, onFinished: OnFinished): Promise<Page> {
  const dir = await bundlePage(fileURLToPath(sourceFile('golden/engines/page.ts')), onFinished)
  const url = await servePages(dir, { isolated: false }, onFinished)
  const { page } = await openPage(await startBrowser({ path, webgpu: true }, onFinished), url)
  await page.waitForFunction(() => 'golden' in globalThis)
  return page
}

function textOf({ dtype, shape, data }: Tensor): TextTensor {
  const { buffer, byteOffset, byteLength } = data as Float32Array
  return { dtype, shape, base64: Buffer.from(buffer, byteOffset, byteLength).toString('base64') }
}

function tensorOf({ dtype, shape, base64 }: TextTensor): Tensor {
  return { dtype, shape, data: new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer) } as Tensor
}
