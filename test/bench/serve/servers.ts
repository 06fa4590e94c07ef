import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onCores } from './cores.js'

/** Python with `fastapi`, `uvicorn`, `uvloop`, `httptools`, `orjson`, `numpy` and `onnxruntime`. */
const python = process.env['TIDEWAY_PYTHON'] ?? 'python3'
/** Python with `mlserver` and `onnxruntime`, whose packages exclude FastAPI's newest. */
const mlserverPython = process.env['TIDEWAY_PEERS_PYTHON'] ?? 'python3'
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const tideway = fileURLToPath(new URL('../../../../cloud/dist/bin.js', import.meta.url))
const peers = fileURLToPath(new URL('../../../bench/serve/peers', import.meta.url))

/** A server of its own process. */
export interface Server {
  readonly url: string
  /** Where ours is told to move on to another version. */
  readonly control?: string | undefined
  readonly pid: number
  /** Of all processes that answer. */
  readonly pids: readonly number[]
  /** Of ours, where it asks for one. */
  readonly key?: string | undefined
  /** Ends it, and waits for that. */
  stop(): Promise<void>
}

/** At once, with the processes of its group where it has one of its own. */
function end({ pid, exitCode, signalCode }: ChildProcess, isGroup: boolean): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(isGroup ? -pid : pid, 'SIGKILL')
}

function start(command: readonly string[], env: NodeJS.ProcessEnv = {}, detached = false): ChildProcess {
  const [file = '', ...args] = command
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'], detached })
  // None outlives a benchmark that fails.
  const outlived = () => end(child, detached)
  process.once('exit', outlived)
  child.once('exit', () => process.off('exit', outlived))
  return child
}

async function lineOf(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const part of child.stdout as AsyncIterable<Buffer>) {
    text += part.toString()
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
  }
  throw new Error(`a process ended before it said where it is: ${child.spawnargs.join(' ')}`)
}

type Said = Pick<Server, 'url' | 'control' | 'key'> & Partial<Pick<Server, 'pids'>>

function serverOf(child: ChildProcess, { url, control, key, pids = [] }: Said): Server {
  const pid = child.pid as number
  return {
    url,
    control,
    key,
    pid,
    pids: pids.length > 0 ? pids : [pid],
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

export interface ChildOptions {
  readonly cores?: string | undefined
  readonly env?: NodeJS.ProcessEnv
}

/** One of our own children, which says its URL on a line. */
export async function startChild(
  script: string,
  args: readonly string[],
  { cores, env }: ChildOptions = {},
): Promise<Server> {
  const child = start(onCores(cores, [process.execPath, here(script), ...args]), env)
  const said = JSON.parse(await lineOf(child)) as Said
  child.stdout?.resume()
  return serverOf(child, said)
}

/** `tideway serve` of one file: it says its URL when it can answer. */
export async function startFile(model: string, file: string): Promise<Server> {
  const child = start([process.execPath, tideway, 'serve', `${model}=${file}`, '--port', '0', '--json'])
  const said = JSON.parse(await lineOf(child)) as Said
  child.stdout?.resume()
  return serverOf(child, said)
}

/** What one of our own children says on its line, when it has ended. */
export async function askChild<T>(script: string, args: readonly string[], cores?: string): Promise<T> {
  return JSON.parse(await lineOf(start(onCores(cores, [process.execPath, here(script), ...args])))) as T
}

export interface FastApiOptions {
  readonly model: string
  readonly workers: number
  readonly threads: number
}

/** uvicorn with so many workers, each with so many threads of ONNX Runtime. */
export async function startFastApi({ model, workers, threads }: FastApiOptions): Promise<Server> {
  const port = await freePort()
  const args = ['--port', String(port), '--workers', String(workers), '--loop', 'uvloop', '--http', 'httptools']
  const quiet = ['--no-access-log', '--log-level', 'warning', '--app-dir', peers]
  const env = { MODEL_FILE: model, THREADS: String(threads) }
  const child = start([python, '-m', 'uvicorn', 'fastapi_server:app', ...args, ...quiet], env)
  return whenAnswering(child, `http://127.0.0.1:${port}`, '/json')
}

export interface MlserverOptions {
  readonly model: string
  /** Processes for inference; 0: in the process that answers. */
  readonly workers: number
}

/** Whether `TIDEWAY_PEERS_PYTHON` has it. */
export async function hasMlserver(): Promise<boolean> {
  const child = spawn(mlserverPython, ['-c', 'import mlserver, onnxruntime'], { stdio: 'ignore' })
  const [code] = (await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [1])])) as [number | null]
  return code === 0
}

/** MLServer without what costs it time: compression, metrics, its log of requests. */
export async function startMlserver({ model, workers }: MlserverOptions): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-mlserver-'))
  const [port, grpcPort] = [await freePort(), await freePort()]
  const settings = {
    host: '127.0.0.1',
    http_port: port,
    grpc_port: grpcPort,
    parallel_workers: workers,
    debug: false,
    gzip_enabled: false,
    metrics_endpoint: null,
  }
  await writeFile(join(folder, 'settings.json'), JSON.stringify(settings))
  const runtime = { name: 'dense', implementation: 'mlserver_runtime.OnnxModel' }
  await writeFile(join(folder, 'model-settings.json'), JSON.stringify(runtime))
  const env = { MODEL_FILE: model, PYTHONPATH: peers, PYTHONWARNINGS: 'ignore' }
  const child = start([mlserverPython, '-m', 'mlserver.cli.main', 'start', folder], env, true)
  child.stdout?.resume()
  child.once('exit', () => void rm(folder, { recursive: true, force: true }))
  const server = await whenAnswering(child, `http://127.0.0.1:${port}`, '/v2/models/dense/ready', 200)
  return {
    ...server,
    // With processes for inference it waits for connections after SIGTERM, without end.
    async stop() {
      const exit = once(child, 'exit')
      end(child, true)
      await exit
    },
  }
}

/** Polls until something answers there with that status, or with any. */
async function whenAnswering(child: ChildProcess, url: string, path: string, status?: number): Promise<Server> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`)
    const answered = await fetch(url + path).catch(() => undefined)
    if (answered && (status === undefined || answered.status === status)) return serverOf(child, { url })
    await setTimeout(5)
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
