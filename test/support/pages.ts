import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize, sep } from 'node:path'
import { build, defaultClientConditions } from 'vite'
import { type OnFinished, temporaryFolder } from './folder.js'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
}

/** Bundles a script as its user would, with Vite, from the packages' sources; returns the folder that it is in, as page.js. */
export async function bundlePage(script: string, onFinished: OnFinished): Promise<string> {
  const outDir = await temporaryFolder(onFinished)
  await build({
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    resolve: { conditions: ['@tideway/source', ...defaultClientConditions] },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'esnext',
      // The files are only looked at when something fails.
      minify: false,
      reportCompressedSize: false,
      chunkSizeWarningLimit: 100_000,
      rolldownOptions: { input: script, output: { entryFileNames: 'page.js' } },
    },
  })
  return outDir
}

export interface PagesOptions {
  /** Whether pages are cross-origin isolated, so that they may have threads. */
  readonly isolated: boolean
}

/** Serves a folder of files on loopback; `/` is its index.html, else an empty page that runs page.js. */
export async function servePages(dir: string, { isolated }: PagesOptions, onFinished: OnFinished): Promise<string> {
  const headers = isolated
    ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
    : {}
  const server = createServer((request, response) => {
    void answer(new URL(request.url ?? '/', 'http://localhost').pathname).catch(() => response.writeHead(404).end())

    async function answer(pathname: string): Promise<void> {
      const path = normalize(join(dir, decodeURIComponent(pathname), pathname.endsWith('/') ? 'index.html' : ''))
      if (!path.startsWith(dir + sep)) throw new Error('outside')
      const found = await stat(path).catch(() => undefined)
      if (found === undefined && pathname === '/') {
        response.writeHead(200, { ...headers, 'content-type': TYPES['.html'] })
        response.end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>')
        return
      }
      if (!found?.isFile()) throw new Error('no file')
      const type = TYPES[extname(path)] ?? 'application/octet-stream'
      response.writeHead(200, { ...headers, 'content-type': type, 'content-length': found.size })
      createReadStream(path).pipe(response)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}
