import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cloudErrors } from '../errors.js'
import { lastWords, launch, record, runningIn, type Started } from './processes.js'

/** Where packages put servers that a user's PATH may leave out. */
const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin']
const READY_SECONDS = 10

/** The URL of NATS_URL, or of a `nats-server` with JetStream started in the directory. Throws `SERVER_NOT_FOUND`. */
export async function ensureNats(dir: string): Promise<string> {
  if (process.env.NATS_URL) return process.env.NATS_URL
  const running = (await runningIn(dir)).find(({ name }) => name === 'nats')
  return (running ?? (await startNats(resolve(dir)))).detail.url!
}

async function startNats(dir: string): Promise<Started> {
  const file = findServer()
  const home = join(dir, 'nats')
  await mkdir(home, { recursive: true })
  // Port -1 takes a free one, which the server writes into its ports file.
  const args = ['-js', '-sd', home, '-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', home]
  const child = launch(dir, 'nats', { file, args })
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  // Noted at once: one that is slow to start is stopped with the rest.
  if (child.pid !== undefined) await record(dir, 'nats', child.pid, {})
  for (let waited = 0; waited < READY_SECONDS * 20; waited += 1) {
    const name = (await readdir(home)).find((entry) => entry.endsWith(`_${child.pid}.ports`))
    const text = name === undefined ? '' : await readFile(join(home, name), 'utf8')
    if (text.trimEnd().endsWith('}')) {
      const { nats } = JSON.parse(text) as { nats: string[] }
      return record(dir, 'nats', child.pid!, { url: nats[0]! })
    }
    if (failure || child.exitCode !== null) {
      const log = await readFile(join(dir, 'logs', 'nats.log'), 'utf8')
      const exit = failure ? failure.message : `exit code ${child.exitCode}`
      throw cloudErrors.PROCESS_ENDED({ process: 'nats-server', exit, stderr: lastWords(log) })
    }
    await delay(50)
  }
  throw cloudErrors.WAIT_TIMEOUT({ what: 'start of nats-server', seconds: READY_SECONDS })
}

/** The first of these folders' servers. Throws `SERVER_NOT_FOUND`. */
export function findServer(
  folders: readonly string[] = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...MORE_FOLDERS],
): string {
  const name = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server'
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
  if (found === undefined) throw cloudErrors.SERVER_NOT_FOUND({ server: 'nats-server', install: 'nats-server' })
  return found
}
