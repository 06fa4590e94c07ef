import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadConfig } from './load.js'

const CORE = fileURLToPath(new URL('../../../core/src/index.ts', import.meta.url))
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-load-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function file(text: string): Promise<string> {
  const path = join(dir, 'tideway.config.ts')
  await writeFile(path, text)
  return path
}

it('reads a TypeScript file, its plugins as they are', async () => {
  const config = await loadConfig(
    await file(`import { defineConfig, definePlugin } from ${JSON.stringify(CORE)}
const mine = definePlugin({ name: 'mine', register() {} })
export default defineConfig({ roles: ['api'], plugins: [mine()] })`),
  )
  expect(config).toMatchObject({ roles: ['api'], plugins: [{ plugin: { name: 'mine' } }] })
})

it('names every mistake in it', async () => {
  const text = `export default { roles: ['montor'], plugins: [() => ({})], prot: 1, nats: { url: 'a' }, mqtt: {} }`
  const reasons = [/roles\.0: .*"monitor"/, /plugins\.0: is not called/, /"prot"/, /mqtt\.url: /]
  const error: unknown = await loadConfig(await file(text)).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
  for (const reason of reasons) expect(String(error)).toMatch(reason)
})

it.each(['undefined', '{ key: undefined }'])('says that a key is missing where it holds %s', async (key) => {
  const text = `export default { http: { apiKeys: ['0123456789abcdef', ${key}] } }`
  await expect(loadConfig(await file(text))).rejects.toThrow(/http\.apiKeys\.1: its key is missing.*not set/)
})

it('refuses two transports in one file', async () => {
  const text = `export default { nats: { url: 'nats://a' }, mqtt: { url: 'mqtt://b' } }`
  await expect(loadConfig(await file(text))).rejects.toThrow(/mqtt: give either nats or mqtt/)
})
