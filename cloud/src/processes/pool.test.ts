import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type LogData, silentLogger } from '@tideway/core'
import { temporaryFolder } from '@tideway/test/support/folder'
import { expect, it } from 'vitest'
import type { MemberConfig } from './messages.js'
import { Pool } from './pool.js'

/** Does all that it is told, at once. */
const OBEDIENT = `process.on('message', ({ call }) => call && process.send({ answer: call }))`

it('says which process ended, by a name that is not that of the process which says so', async ({ onTestFinished }) => {
  const file = join(await temporaryFolder(onTestFinished), 'member.mjs')
  await writeFile(file, OBEDIENT)
  let tell: (line: unknown) => void
  const told = new Promise((resolve) => (tell = resolve))
  const pool = new Pool({
    processes: 1,
    config: {} as MemberConfig,
    objects: {},
    logger: { ...silentLogger, error: (message: string, data?: LogData) => tell({ message, data }) },
    stopGraceMs: 1_000,
    file: pathToFileURL(file),
  })
  await pool.start('127.0.0.1', 0)
  onTestFinished(() => pool.stop())
  const [processPid] = pool.pids()
  process.kill(Number(processPid), 'SIGKILL')
  expect(await told).toEqual({
    message: 'a serving process ended; another takes its place',
    data: { processPid, reason: 'SIGKILL' },
  })
})
