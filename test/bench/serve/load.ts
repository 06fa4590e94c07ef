import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onCores } from './cores.js'

const run = promisify(execFile)
const script = fileURLToPath(new URL('../../../bench/serve/post.lua', import.meta.url))

/** A request, over and over. */
export interface Load {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly connections: number
  /** Whole ones. */
  readonly seconds: number
  /** Where the load comes from; left out: from any core. */
  readonly cores?: string
}

export interface Answered {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** What `post.lua` says. */
interface Said {
  readonly requests: number
  readonly us: number
  readonly p50Us: number
  readonly p99Us: number
  readonly failed: number
}

/** Throws with how to get it where `wrk` is not installed. */
export async function checkLoad(): Promise<void> {
  await run('wrk', ['--version']).catch((error: { code?: unknown }) => {
    // It knows no status for success when it only says its version.
    if (error.code === 'ENOENT') throw new Error('this benchmark needs wrk on PATH (apt-get install wrk)')
  })
}

/**
 * Asks a server by wrk, on one thread, as fast as it answers: the load shares the machine with what it measures, and a
 * generator in JavaScript takes as much as a small server. Throws when a request fails or is answered with other than success.
 */
export async function ask({ url, headers, body, connections, seconds, cores }: Load): Promise<Answered> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-load-'))
  try {
    const files = { BODY: join(dir, 'body'), HEADERS: join(dir, 'headers') }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`)
    await Promise.all([writeFile(files.BODY, body), writeFile(files.HEADERS, lines.join(''))])
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url]
    const [file = '', ...rest] = onCores(cores, ['wrk', ...args])
    const { stdout } = await run(file, rest, { env: { ...process.env, ...files } })
    const said = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Said
    if (said.failed > 0 || said.requests === 0) throw new Error(`${url}: ${said.failed} requests failed\n${stdout}`)
    return { perSecond: said.requests / (said.us / 1e6), p50Ms: said.p50Us / 1000, p99Ms: said.p99Us / 1000 }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** V8 compiles what runs often for some seconds, in which a request takes twice as long and more. */
const WARM_SECONDS = 5

/** Long enough that code is compiled and models are loaded; what it gives does not count. */
export async function warm(load: Load): Promise<void> {
  await ask({ ...load, seconds: WARM_SECONDS })
}
