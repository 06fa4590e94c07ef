import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

/** Python with `fastapi`, `uvicorn`, `uvloop`, `httptools`, `orjson`, `numpy` and `onnxruntime`. */
const python = process.env['TIDEWAY_PYTHON'] ?? 'python3'
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const peers = fileURLToPath(new URL('../../../bench/serve/peers', import.meta.url))

/** A server of its own process. */
export interface Server {
  readonly url: string
  /** Where ours is told to move on to another version. */
  readonly control?: string | undefined
  readonly pid: number
  /** Ends it, and waits for that. */
  stop(): Promise<void>
}

/** A command on some cores only, where the system can do that; `undefined`: on all. */
const onCores = (cores: string | undefined, command: readonly string[]): readonly string[] =>
  cores === undefined || process.platform !== 'linux' ? command : ['taskset', '-c', cores, ...command]

function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [file = '', ...args] = command
  return spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
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

function serverOf(child: ChildProcess, { url, control }: Pick<Server, 'url' | 'control'>): Server {
  return {
    url,
    control,
    pid: child.pid as number,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

/** One of our own children, which says its URL on a line. */
export async function startChild(script: string, args: readonly string[], cores?: string): Promise<Server> {
  const child = start(onCores(cores, [process.execPath, here(script), ...args]))
  const said = JSON.parse(await lineOf(child)) as Pick<Server, 'url' | 'control'>
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
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(`uvicorn ended with ${child.exitCode}`)
    const answered = await fetch(`${url}/json`, { method: 'GET' }).catch(() => undefined)
    if (answered !== undefined) return serverOf(child, { url })
    await new Promise((resolve) => setTimeout(resolve, 5))
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
