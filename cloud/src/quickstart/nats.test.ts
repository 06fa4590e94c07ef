import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { findServer } from './nats.js'

it('finds nats-server in the first folder that has it, and says how to install it where none has', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-path-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const [empty, full] = [join(dir, 'empty'), join(dir, 'full')]
  const server = join(full, process.platform === 'win32' ? 'nats-server.exe' : 'nats-server')
  await mkdir(empty)
  await mkdir(full)
  await writeFile(server, '')
  await chmod(server, 0o755)
  expect(findServer([empty, full])).toBe(server)
  expect(() => findServer([empty])).toThrowError(
    expect.objectContaining({
      code: 'SERVER_NOT_FOUND',
      message: expect.stringContaining('apt-get install') as string,
    }),
  )
})
