import { EventEmitter, once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text as readWhole } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { type LogData, silentLogger } from '@tideway/core'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { inTime } from '@tideway/test/support/process'
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
/** The first stands still once it has started, but for what it can say before; those after it greet who connects. */
const STILL = `
import { mkdirSync } from 'node:fs'
const isFirst = (() => {
  try {
    return mkdirSync(new URL('first', import.meta.url)) === undefined
  } catch {
    return false
  }
})()
process.on('message', ({ call }, socket) => {
  if (socket) {
    process.send({ event: 'taken' })
    socket.end('hello')
  } else if (isFirst) process.send({ answer: call }, () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  else process.send({ answer: call })
})`
/** It has no descriptor left once it has started, until it is asked for a sign of life. */
const FULL = `
import { closeSync, openSync } from 'node:fs'
const taken = []
function fill() {
  try {
    for (;;) taken.push(openSync('/dev/null'))
  } catch {}
}
process.on('message', ({ call, method }, socket) => {
  if (socket) {
    process.send({ event: 'taken' })
    socket.end('hello')
  } else {
    if (method === 'start') fill()
    if (method === 'ping') for (const descriptor of taken.splice(0)) closeSync(descriptor)
    process.send({ answer: call })
  }
})`

/** What it is told by who serves, until that ends. */
async function greeting(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  return inTime(readWhole(socket), 20_000, () => 'neither greeted nor turned away').finally(() => socket.destroy())
}

/** What is forked meanwhile runs this in place of Node. */
function execPathOf(path: string, onFinished: OnFinished): () => void {
  const usual = process.execPath
  process.execPath = path
  const restore = () => {
    process.execPath = usual
  }
  onFinished(async () => restore())
  return restore
}

it('hands a connection that a process had not taken when it ended to the next', async ({ onTestFinished }) => {
  const pool = await poolOf(STILL, {}, onTestFinished)
  const port = await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const [pid] = pool.pids()
  const greetings = [greeting(port), greeting(port), greeting(port)]
  const asked = expect(pool.processes()[0]?.index()).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
  // Both ends of them are of this process.
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
  process.kill(Number(pid), 'SIGKILL')
  expect(await Promise.all(greetings)).toEqual(['hello', 'hello', 'hello'])
  await asked
})

it.skipIf(process.platform === 'win32')(
  'turns away a connection that a process has no descriptor for, and goes on with the next',
  async ({ onTestFinished }) => {
    const node = join(await temporaryFolder(onTestFinished), 'node')
    await writeFile(node, `#!/bin/sh\nulimit -n 64\nexec '${process.execPath}' "$@"\n`)
    await chmod(node, 0o755)
    const restore = execPathOf(node, onTestFinished)
    const pool = await poolOf(FULL, {}, onTestFinished)
    const port = await pool.start('127.0.0.1', 0)
    restore()
    onTestFinished(() => pool.stop())
    expect(await Promise.all([greeting(port), greeting(port)])).toEqual(['', 'hello'])
  },
)

it('goes on where another process cannot be made', async ({ onTestFinished }) => {
  const events = new EventEmitter()
  const logger = { ...silentLogger, error: (message: string) => events.emit(message) }
  const pool = await poolOf(OBEDIENT, { logger }, onTestFinished)
  await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const restore = execPathOf('/no/such/node', onTestFinished)
  const fails = once(events, 'a serving process does not start')
  const before = pool.pids()
  process.kill(Number(before[0]), 'SIGKILL')
  await fails
  restore()
  await expect.poll(() => pool.pids().length).toBe(1)
  expect(pool.pids()).not.toEqual(before)
})

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
