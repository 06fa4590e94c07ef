import { EventEmitter, once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type LogData, silentLogger } from '@tideway/core'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { expect, it } from 'vitest'
import type { MemberConfig } from './messages.js'
import { Pool, type PoolOptions } from './pool.js'

/** A pool whose processes run this code. */
async function poolOf(code: string, options: Partial<PoolOptions>, onFinished: OnFinished): Promise<Pool> {
  const file = join(await temporaryFolder(onFinished), 'member.mjs')
  await writeFile(file, code)
  const usual = { processes: 1, config: {} as MemberConfig, objects: {}, logger: silentLogger, stopGraceMs: 60_000 }
  return new Pool({ ...usual, ...options, file: pathToFileURL(file) })
}

/** Does all that it is told, at once. */
const OBEDIENT = `process.on('message', ({ call }) => call && process.send({ answer: call }))`
/** One of them does not start, and the other once that is known. */
const UNEQUAL = `
import { mkdirSync } from 'node:fs'
let begun
const isFirst = (() => {
  try {
    return mkdirSync(new URL('first', import.meta.url)) === undefined
  } catch {
    return false
  }
})()
process.on('message', ({ call, method, answer }) => {
  if (method === 'start') begun = call
  if (method === 'start' && isFirst) process.send({ answer: call, error: { message: 'it does not start' } })
  if (method === 'start' && !isFirst) process.send({ call: 1, object: 'test', method: 'failed', args: [] })
  if (answer === 1) process.send({ answer: begun })
  if (method === 'stop') process.send({ call: 2, object: 'test', method: 'stopped', args: [] })
  if (method === 'stop') process.send({ answer: call })
})`

it('says which process ended, by a name that is not that of the process which says so', async ({ onTestFinished }) => {
  let tell: (line: unknown) => void
  const told = new Promise((resolve) => (tell = resolve))
  const logger = { ...silentLogger, error: (message: string, data?: LogData) => tell({ message, data }) }
  const pool = await poolOf(OBEDIENT, { logger }, onTestFinished)
  await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const [processPid] = pool.pids()
  process.kill(Number(processPid), 'SIGKILL')
  expect(await told).toEqual({
    message: 'a serving process ended; another takes its place',
    data: { processPid, reason: 'SIGKILL' },
  })
})

it('ends a process that comes up when it has stopped, since another did not start', async ({ onTestFinished }) => {
  const events = new EventEmitter()
  const [failed, stopped] = [once(events, 'failed'), once(events, 'stopped')]
  const test = { failed: () => failed, stopped: async () => events.emit('stopped') }
  const pool = await poolOf(UNEQUAL, { processes: 2, objects: { test } }, onTestFinished)
  await expect(pool.start('127.0.0.1', 0)).rejects.toThrow('it does not start')
  expect(pool.pids()).toEqual([])
  events.emit('failed')
  await stopped
  expect(pool.pids()).toEqual([])
})
