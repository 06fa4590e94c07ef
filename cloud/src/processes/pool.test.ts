import { EventEmitter, once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { join } from 'node:path'
import { text as readWhole } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { type LogData, silentLogger } from '@tideway/core'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { inTime } from '@tideway/test/support/process'
import { describe, expect, it } from 'vitest'
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
/** In a folder of their own: whether this is the first of the processes. */
const FIRST = `
import { mkdirSync } from 'node:fs'
const isFirst = (() => {
  try {
    return mkdirSync(new URL('first', import.meta.url)) === undefined
  } catch {
    return false
  }
})()`
/** The first of them does not start; the other is not done with that, and takes no SIGTERM. */
const UNEQUAL = `${FIRST}
process.on('SIGTERM', () => {})
process.on('message', ({ call, method }) => {
  if (method !== 'start') return
  process.send({ call: 0, object: 'test', method: 'started', args: [process.pid] })
  if (isFirst) process.send({ answer: call, error: { message: 'it does not start' } })
})`
/** Says `hello` to who connects, and does all that it is told; in place of that it does what `instead` says. */
const greeting = (instead: string) => `${FIRST}
process.on('message', ({ call, method }, socket) => {
  ${instead}
  if (socket === undefined) return call && process.send({ answer: call })
  process.send({ event: 'taken' })
  socket.end('hello')
})`
/** The first stands still once it has said that it has started. */
const STILL = greeting(`
  if (isFirst && method === 'start')
    return process.send({ answer: call }, () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))`)
/** The first has no descriptor left once it has started, until it is asked for a sign of life. */
const FULL = `
import { closeSync, openSync } from 'node:fs'
const taken = []
function fill() {
  try {
    for (;;) taken.push(openSync('/dev/null'))
  } catch {}
}
${greeting(`
  if (isFirst && method === 'start') fill()
  if (method === 'ping') for (const descriptor of taken.splice(0)) closeSync(descriptor)`)}`

/** What it is told by who serves, until that ends. */
async function greeted(port: number): Promise<string> {
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

/** Counts the connections that come. */
function counted(pool: Pool): () => number {
  let count = 0
  ;(pool as unknown as { readonly server: Server }).server.on('connection', () => count++)
  return () => count
}

it('hands connections that a process had not taken when it ended to the next', async ({ onTestFinished }) => {
  const pool = await poolOf(STILL, {}, onTestFinished)
  const port = await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const [pid] = pool.pids()
  const connections = counted(pool)
  const greetings = [greeted(port), greeted(port), greeted(port)]
  const asked = expect(pool.processes()[0]?.index()).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
  await expect.poll(connections).toBe(3)
  process.kill(Number(pid), 'SIGKILL')
  expect(await Promise.all(greetings)).toEqual(['hello', 'hello', 'hello'])
  await asked
})

it('gives connections behind one that a process does not take to others, and later ones too', async ({
  onTestFinished,
}) => {
  const pool = await poolOf(STILL, { processes: 2 }, onTestFinished)
  const port = await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const greetings = Array.from({ length: 6 }, () => greeted(port))
  // One is under way to the process that stands still; when that ends, it is the other's.
  const done: string[] = []
  for (const one of greetings) void one.then((said) => done.push(said))
  await expect.poll(() => done).toEqual(Array(5).fill('hello'))
  expect(await Promise.all(Array.from({ length: 6 }, () => greeted(port)))).toEqual(Array(6).fill('hello'))
  for (const pid of pool.pids()) process.kill(pid, 'SIGKILL')
  expect(await Promise.all(greetings)).toEqual(Array(6).fill('hello'))
})

describe.skipIf(process.platform === 'win32')('a process without descriptors', () => {
  async function poolOfFull(processes: number, onFinished: OnFinished): Promise<{ pool: Pool; port: number }> {
    const node = join(await temporaryFolder(onFinished), 'node')
    await writeFile(node, `#!/bin/sh\nulimit -n 64\nexec '${process.execPath}' "$@"\n`)
    await chmod(node, 0o755)
    const restore = execPathOf(node, onFinished)
    const pool = await poolOf(FULL, { processes }, onFinished)
    const port = await pool.start('127.0.0.1', 0)
    restore()
    onFinished(() => pool.stop())
    return { pool, port }
  }

  it('leaves its connections to others', async ({ onTestFinished }) => {
    const { port } = await poolOfFull(2, onTestFinished)
    expect(await Promise.all(Array.from({ length: 6 }, () => greeted(port)))).toEqual(Array(6).fill('hello'))
  })

  it('turns one away where there is no other, and goes on with the next', async ({ onTestFinished }) => {
    const { port } = await poolOfFull(1, onTestFinished)
    expect(await Promise.all([greeted(port), greeted(port)])).toEqual(['', 'hello'])
  })
})

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

it('ends a process that is still starting, since another did not start', async ({ onTestFinished }) => {
  const started: number[] = []
  const test = { started: async (pid: number) => started.push(pid) }
  const pool = await poolOf(UNEQUAL, { processes: 2, objects: { test } }, onTestFinished)
  await expect(pool.start('127.0.0.1', 0)).rejects.toThrow('it does not start')
  expect(pool.pids()).toEqual([])
  await expect.poll(() => started.filter(isRunning)).toEqual([])
  expect(started.length).toBeGreaterThan(0)
})

it('has no processes once it has stopped', async ({ onTestFinished }) => {
  const pool = await poolOf(OBEDIENT, { processes: 2 }, onTestFinished)
  await pool.start('127.0.0.1', 0)
  const pids = pool.pids()
  expect(pids.filter(isRunning)).toHaveLength(2)
  await pool.stop()
  expect([pool.pids(), pids.filter(isRunning)]).toEqual([[], []])
})

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
