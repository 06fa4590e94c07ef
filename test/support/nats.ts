import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, freePort, type RunningProcess, startProcess } from './process.js'

export interface TestNats {
  readonly url: string
  /** Of its MQTT listener, when asked for. */
  readonly mqttUrl: string | undefined
  stop(signal?: NodeJS.Signals): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export interface TestNatsOptions {
  readonly mqtt?: boolean
  /** More lines of configuration: `authorization { ... }`. */
  readonly config?: string
}

/** Starts a nats-server with JetStream on free ports of 127.0.0.1, with a folder of its own. */
export async function startNats(path: string, options: TestNatsOptions = {}): Promise<TestNats> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-nats-'))
  const [port, monitor, mqtt] = [await freePort(), await freePort(), await freePort()]
  await writeFile(
    join(dir, 'nats.conf'),
    `server_name: "tideway-test-${port}"
listen: "127.0.0.1:${port}"
http: "127.0.0.1:${monitor}"
jetstream { store_dir: "${dir}", max_file_store: 8GB, max_memory_store: 64MB }
${options.mqtt ? `mqtt { listen: "127.0.0.1:${mqtt}" }` : ''}
${options.config ?? ''}
`,
  )
  let server: RunningProcess | undefined
  async function start(): Promise<void> {
    server = startProcess(path, ['-c', join(dir, 'nats.conf')])
    await eventually('nats-server is healthy', async () => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/healthz`).catch(() => undefined)
      await answer?.body?.cancel()
      return answer?.ok
    })
  }
  await start()
  return {
    url: `nats://127.0.0.1:${port}`,
    mqttUrl: options.mqtt ? `mqtt://127.0.0.1:${mqtt}` : undefined,
    start,
    stop: async (signal) => server?.kill(signal),
    async close() {
      await server?.kill('SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
}
