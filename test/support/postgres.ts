import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './process.js'

const execute = promisify(execFile)

export interface TestPostgres {
  /** `postgres://postgres@127.0.0.1:<port>/postgres`. */
  readonly url: string
  /** Stops it as it would be stopped (`fast`) or as a power cut would (`immediate`). */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1 with a folder of its own; `path` is that of `postgres`, as
 * `describeWithServer` gives it. It refuses to run as root, so root starts it as the user `postgres`.
 */
export async function startPostgres(path: string): Promise<TestPostgres> {
  const bin = dirname(path)
  const dir = await mkdtemp(join(tmpdir(), 'tideway-postgres-'))
  const [port, root] = [await freePort(), process.getuid?.() === 0]
  if (root) {
    await execute('chown', ['postgres', dir])
    await chmod(dir, 0o700)
  }
  async function run(program: string, ...args: string[]): Promise<void> {
    const command = [join(bin, program), ...args]
    if (!root) await execute(command[0] as string, command.slice(1))
    else await execute('su', ['postgres', '-c', command.map(quoted).join(' ')], { cwd: '/' })
  }
  const data = join(dir, 'data')
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${dir}`
  const start = () => run('pg_ctl', 'start', '-w', '-s', '-D', data, '-l', join(dir, 'log'), '-o', options)
  const stop = (mode = 'fast') => run('pg_ctl', 'stop', '-w', '-s', '-D', data, '-m', mode)
  await run('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync')
  await start()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    start,
    stop,
    async close() {
      // It may have been stopped by the test.
      await stop('immediate').catch(() => undefined)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
