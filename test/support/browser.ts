import { type Browser, chromium, type Page } from 'playwright-core'
import { type OnFinished } from './folder.js'

/** Nothing that a test does not need: no GPU process, no traffic of the browser's own. */
const QUIET = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** WebGPU on SwiftShader, which computes on the processor: slow, and a real implementation. */
const SOFTWARE_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']

export interface BrowserOptions {
  /** Chromium's path, from `describeWithServer('chromium', …)`. */
  readonly path: string
  readonly webgpu?: boolean
}

/** Starts Chromium; it ends when the suite does. */
export async function startBrowser({ path, webgpu = false }: BrowserOptions, onFinished: OnFinished): Promise<Browser> {
  const args = [...QUIET, ...(webgpu ? SOFTWARE_WEBGPU : ['--disable-gpu'])]
  const browser = await chromium.launch({ executablePath: path, args })
  onFinished(() => browser.close())
  return browser
}

/** Opens a page and gathers what goes wrong in it. */
export async function openPage(browser: Browser, url: string): Promise<{ page: Page; problems: readonly string[] }> {
  const page = await browser.newPage()
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text())
  })
  await page.goto(url)
  return { page, problems }
}
