import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startOf } from '@tideway/store-postgres/process'
import { z } from 'zod'
import { readCloudProcess, readJsonFile, removeCloudProcess, stillRuns } from '../config/process-file.js'
import { cloudErrors } from '../errors.js'

/** A process that this directory started. */
const startedSchema = z.object({
  name: z.string(),
  pid: z.int().positive(),
  /** When it started, as `startOf` says it. */
  start: z.string().optional(),
  detail: z.record(z.string(), z.string()),
})
export type Started = z.infer<typeof startedSchema>

const READY_SECONDS = 60
const STOP_SECONDS = 15
/** A file for each process, so that several may be started at once. */
const folderIn = (dir: string) => join(dir, 'processes')

/** The processes of a directory that still run. */
export async function runningIn(dir: string): Promise<Started[]> {
  const names = await readdir(folderIn(dir)).catch(() => [])
  const files = names.filter((name) => name.endsWith('.json')).map((name) => join(folderIn(dir), name))
  const listed = await Promise.all(files.map((file) => readJsonFile(file, startedSchema)))
  return listed.filter((item) => item !== undefined && stillRuns(item)) as Started[]
}

/**
 * Starts a command in the background with its output in `<dir>/logs/<name>.*`, and waits for a line on its standard
 * output that `ready` understands. Throws `PROCESS_ENDED`, `WAIT_TIMEOUT`.
 */
export async function start(
  dir: string,
  name: string,
  command: { readonly file: string; readonly args: readonly string[] },
  ready: (line: Record<string, unknown>) => Record<string, string> | undefined,
): Promise<Started> {
  const child = launch(dir, name, command)
  // Noted before it is ready, so that one that never gets there is stopped too.
  const noted = child.pid === undefined ? undefined : await record(dir, name, child.pid, {})
  const detail = await waitForLine(dir, name, child, ready)
  return record(dir, name, noted!.pid, detail)
}

/** Starts a command in the background; it outlives this process. */
export function launch(
  dir: string,
  name: string,
  { file, args }: { file: string; args: readonly string[] },
): ChildProcess {
  mkdirSync(join(dir, 'logs'), { recursive: true })
  const out = openSync(join(dir, 'logs', `${name}.out`), 'w')
  const err = openSync(join(dir, 'logs', `${name}.log`), 'a')
  // Its cloud has no keys, and refuses one of another cloud.
  const env = { ...process.env, TIDEWAY_API_KEY: undefined, TIDEWAY_ADMIN_KEY: undefined }
  const child = spawn(file, [...args], { detached: true, stdio: ['ignore', out, err], windowsHide: true, env })
  child.unref()
  closeSync(out)
  closeSync(err)
  return child
}

/** Notes a started process, so that `tideway down` finds it. */
export async function record(
  dir: string,
  name: string,
  pid: number,
  detail: Readonly<Record<string, string>>,
): Promise<Started> {
  const started: Started = { name, pid, start: startOf(pid), detail }
  const file = join(folderIn(dir), `${name}.json`)
  await mkdir(folderIn(dir), { recursive: true })
  await writeFile(`${file}.tmp`, JSON.stringify(started))
  await rename(`${file}.tmp`, file)
  return started
}

async function waitForLine(
  dir: string,
  name: string,
  child: ChildProcess,
  ready: (line: Record<string, unknown>) => Record<string, string> | undefined,
): Promise<Record<string, string>> {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  for (let waited = 0; waited < READY_SECONDS * 20; waited += 1) {
    const text = await readFile(join(dir, 'logs', `${name}.out`), 'utf8')
    for (const line of text.split('\n')) {
      const detail =
        line.startsWith('{') && line.endsWith('}') ? ready(JSON.parse(line) as Record<string, unknown>) : undefined
      if (detail) return detail
    }
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) {
      const log = await readFile(join(dir, 'logs', `${name}.log`), 'utf8')
      const exit = failure ? failure.message : `exit code ${child.exitCode ?? child.signalCode}`
      throw cloudErrors.PROCESS_ENDED({ process: name, exit, stderr: lastWords(log) })
    }
    await delay(50)
  }
  throw cloudErrors.WAIT_TIMEOUT({ what: `start of ${name}`, seconds: READY_SECONDS })
}

/** The last line of a log, with the indented ones that belong to it. */
export function lastWords(log: string): string {
  const lines = log.trim().split('\n')
  const start = lines.findLastIndex((line) => !line.startsWith(' '))
  return lines
    .slice(start)
    .map((line) => line.trim())
    .join(' ')
}

/**
 * Stops everything that runs in a directory: devices first, then the cloud, then a NATS server started here. One that
 * cannot be stopped does not keep the others running.
 */
export async function stopAll(dir: string): Promise<{ name: string; pid: number }[]> {
  const listed = await runningIn(dir)
  const cloud = await readCloudProcess(dir)
  const lone = cloud && !listed.some(({ pid }) => pid === cloud.pid) ? [{ ...cloud, name: 'cloud' }] : []
  const order = ({ name }: { name: string }) => (name === 'nats' ? 2 : name === 'cloud' ? 1 : 0)
  const all = [...listed, ...lone]
  for (const rank of [0, 1, 2]) await Promise.allSettled(all.filter((item) => order(item) === rank).map(stop))
  await rm(folderIn(dir), { recursive: true, force: true })
  await removeCloudProcess(dir)
  return all.map(({ name, pid }) => ({ name, pid }))
}

/** Asks a process to end, and ends it when it does not. */
export async function stop(noted: { readonly pid: number; readonly start?: string }): Promise<void> {
  process.kill(noted.pid, 'SIGTERM')
  for (let waited = 0; waited < STOP_SECONDS * 50; waited += 1) {
    if (!stillRuns(noted)) return
    await delay(20)
  }
  process.kill(noted.pid, 'SIGKILL')
}
