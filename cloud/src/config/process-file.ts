import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRunning, startOf } from '@tideway/store-postgres/process'
import { z } from 'zod'

/** What a running cloud process leaves in its directory, so that other commands find it. */
const processSchema = z.looseObject({
  pid: z.int().positive(),
  /** When the process started, as `startOf` says it: a pid alone may be another's by now. */
  start: z.string().optional(),
  /** Absent where no HTTP face runs in this process. */
  url: z.url().optional(),
  dataPlaneUrl: z.url().optional(),
  grpcUrl: z.string().optional(),
  mqttUrl: z.string().optional(),
  natsUrl: z.string().optional(),
  startedAt: z.string(),
})
export type CloudProcess = z.infer<typeof processSchema>

const fileIn = (dir: string) => join(dir, 'cloud.json')

/**
 * Whether the process that was noted still runs, and not another with its pid. Where the system does not say when a
 * process started, what has the pid counts.
 */
export function stillRuns({ pid, start }: { readonly pid: number; readonly start?: string }): boolean {
  return pid !== process.pid && isRunning(pid) && (start === undefined || startOf(pid) === start)
}

/** The cloud process that runs in a directory, if one does. A file that cannot be read is of none. */
export async function readCloudProcess(dir: string): Promise<CloudProcess | undefined> {
  const cloud = await readJsonFile(fileIn(dir), processSchema)
  return cloud && stillRuns(cloud) ? cloud : undefined
}

/** A JSON file of that form; undefined when it is absent, cut short or of another form. */
export async function readJsonFile<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S> | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch {
    return undefined
  }
}

export async function writeCloudProcess(dir: string, cloud: Omit<CloudProcess, 'pid' | 'start'>): Promise<void> {
  const noted = { pid: process.pid, start: startOf(process.pid), ...cloud }
  await writeFile(`${fileIn(dir)}.tmp`, JSON.stringify(noted))
  await rename(`${fileIn(dir)}.tmp`, fileIn(dir))
}

export async function removeCloudProcess(dir: string): Promise<void> {
  await rm(fileIn(dir), { force: true })
}
