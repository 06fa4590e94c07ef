import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { startProcess } from '@tideway/test/support/process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../contract.fixture.js'
import { startOf } from './identity.js'
import { takeLock } from './lock.js'

describe('the lock of a store folder', () => {
  let dir = ''
  let remove = async () => {}
  beforeEach(async () => {
    ;({ dir, remove } = await temporaryFolder())
  })
  afterEach(() => remove())

  const path = () => join(dir, 'store.lock')
  const leave = (owner: object) => writeFile(path(), JSON.stringify({ host: hostname(), token: 'theirs', ...owner }))
  const age = async (ms: number) => {
    const then = new Date(Date.now() - ms)
    await utimes(path(), then, then)
  }
  async function endedPid(): Promise<number> {
    const child = startProcess(process.execPath, ['-e', ''])
    await child.exited
    return child.pid
  }
  const expectTaken = async () => {
    const lock = await takeLock(dir)
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    await lock.release()
    expect(await readdir(dir)).toEqual([])
  }
  const expectRefused = async (pid: number) => {
    await expect(takeLock(dir)).rejects.toMatchObject({ code: 'STORE_LOCKED', data: { dir, pid } })
    expect(await readdir(dir)).toEqual(['store.lock'])
  }

  it('is taken, refused to others of the same process with its pid, and free again after', async () => {
    const lock = await takeLock(dir)
    await expectRefused(process.pid)
    await lock.release()
    await expectTaken()
  })

  it('goes to one of many that ask at once', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => takeLock(dir)))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('is refused while the process that holds it runs', async () => {
    await leave({ pid: process.ppid, started: startOf(process.ppid) })
    await expectRefused(process.ppid)
    await leave({ pid: process.ppid })
    await expectRefused(process.ppid)
  })

  it('is taken over from a process that has ended', async () => {
    await leave({ pid: await endedPid(), started: 'long ago' })
    await expectTaken()
  })

  it.runIf(startOf(process.pid) !== undefined)(
    'is taken over when its pid now belongs to another process',
    async () => {
      await leave({ pid: process.ppid, started: 'before it' })
      await expectTaken()
    },
  )

  it('is taken over by one of many that find it stale at once', async () => {
    for (let round = 0; round < 10; round++) {
      await leave({ pid: await endedPid() })
      const answers = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(dir)))
      const locks = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
      expect(locks).toHaveLength(1)
      await locks[0]?.release()
    }
  })

  it('of another host, whose processes cannot be seen, is taken over only once it is no longer touched', async () => {
    await leave({ pid: 7, host: 'another-host' })
    await expectRefused(7)
    await age(31_000)
    await expectTaken()
  })

  it('without an owner in it is refused at first, and taken over later', async () => {
    await writeFile(path(), '')
    await expectRefused(0)
    await age(31_000)
    await expectTaken()
  })

  it('is not removed by one that lost it', async () => {
    const lost = await takeLock(dir)
    await leave({ pid: process.ppid, started: startOf(process.ppid) })
    await lost.release()
    await expectRefused(process.ppid)
  })
})
