import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startOf } from '@tideway/store-postgres/process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stopAll } from '../quickstart/processes.js'
import { readCloudProcess } from './process-file.js'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-process-'))
})
afterAll(() => rm(dir, { recursive: true }))

const startedAt = new Date(0).toISOString()
const note = (value: object) => writeFile(join(dir, 'cloud.json'), JSON.stringify({ startedAt, ...value }))

it('does not take a process that has the pid by now for the cloud, and does not stop it', async () => {
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  try {
    await once(stranger, 'spawn')
    await note({ pid: stranger.pid, start: 'another boot:1', url: 'http://127.0.0.1:1' })
    expect(await readCloudProcess(dir)).toBeUndefined()
    await stopAll(dir)
    expect(stranger.exitCode).toBeNull()
    expect(stranger.killed).toBe(false)
    await note({ pid: stranger.pid, start: startOf(stranger.pid!), url: 'http://127.0.0.1:1' })
    expect(await readCloudProcess(dir)).toMatchObject({ pid: stranger.pid })
  } finally {
    stranger.kill('SIGKILL')
  }
})

it('takes a file that was cut short, or is of this very process, for none', async () => {
  await writeFile(join(dir, 'cloud.json'), '{"pid": 12')
  expect(await readCloudProcess(dir)).toBeUndefined()
  await note({ pid: process.pid, start: startOf(process.pid) })
  expect(await readCloudProcess(dir)).toBeUndefined()
})
