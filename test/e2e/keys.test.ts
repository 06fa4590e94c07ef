import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTideway, tideway, tidewayJson } from '../support/command.js'
import { putFreshStore } from '../support/fresh-store.js'
import { START_MS } from '../support/loop.js'
import type { RunningProcess } from '../support/process.js'

let dir: string
let running: RunningProcess | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-e2e-keys-'))
  await putFreshStore(dir)
})
afterEach(async () => {
  await running?.kill('SIGINT')
  await rm(dir, { recursive: true, force: true, maxRetries: 3 })
})

/** The cloud in `dir`; answers its address on loopback. */
async function up(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const ports = ['--port', '0', '--mqtt-port', '0']
  const all = ['up', '--json', '--no-config', '--roles', 'api', '--dir', dir, ...ports, ...args]
  running = startTideway(all, { env: { ...process.env, ...env } })
  const line = await running.waitForLine(/^\{"ready":true/, START_MS)
  return (JSON.parse(line) as { url: string }).url.replace('0.0.0.0', '127.0.0.1')
}
const as = (key: string) => ({ env: { ...process.env, TIDEWAY_API_KEY: key } })

interface Made {
  readonly key: string
  readonly record: { readonly id: string }
}

describe('a cloud that others reach', () => {
  it('asks for the key that was made on loopback, and refuses it once it is revoked', async () => {
    const open = await up([])
    const { key } = await tidewayJson<Made>(['keys', 'create', 'ops', '--role', 'admin', '--cloud', open])
    await running?.kill('SIGINT')
    await running?.exited

    const cloud = ['--cloud', await up(['--host', '0.0.0.0'])]
    expect(await tideway(['models', ...cloud])).toMatchObject({
      code: 1,
      output: expect.stringContaining('UNAUTHORIZED'),
    })
    const order = ['keys', 'create', 'reader', '--role', 'viewer', '--model', 'digits', '--expires', '1d', ...cloud]
    const reader = await tidewayJson<Made>(order, as(key))
    expect(await tideway(['models', ...cloud], as(reader.key))).toMatchObject({ code: 0 })
    const refused = await tideway(['keys', 'list', ...cloud, '--json'], as(reader.key))
    expect(refused).toMatchObject({ code: 1, json: { error: { code: 'ROLE_REQUIRED', data: { roles: ['admin'] } } } })

    await tidewayJson(['keys', 'revoke', reader.record.id, ...cloud], as(key))
    expect((await tideway(['models', ...cloud], as(reader.key))).output).toContain('UNAUTHORIZED')
    const listed = await tideway(['keys', 'list', ...cloud], as(key))
    expect(listed.output).toMatch(/reader.*viewer.*digits.*revoked/)
    const told = await tideway(['audit', '--action', 'key.revoke', ...cloud], as(key))
    expect(told.output).toMatch(new RegExp(`key:ops/\\w+ .*127\\.0\\.0\\.1.*key\\.revoke.*${reader.record.id}`))
    expect(`${listed.output}${told.output}${running?.lines.join('')}`).not.toContain(reader.key)
  }, 300_000)

  it('begins with a key of its environment', async () => {
    const key = 'a-key-of-enough-letters'
    const cloud = ['--cloud', await up(['--host', '0.0.0.0'], { TIDEWAY_ADMIN_KEY: key })]
    expect(await tideway(['keys', 'list', ...cloud])).toMatchObject({ code: 1 })
    expect((await tideway(['keys', 'list', ...cloud], as(key))).output).toContain('No keys yet')
  }, 300_000)
})
