import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createCloud } from '@tideway/cloud'
import { type DataType, type Host, resolveConfig, silentLogger, tokens } from '@tideway/core'
import { type Listener, listen, optionsSchema } from '@tideway/server-http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { putTestVersion } from '../support/cloud-services.js'
import { echoServing, specOf } from '../support/echo-serving.js'
import { everyType, identityModel } from '../support/onnx-models.js'

/** Python with `tritonclient[http]` and numpy from PyPI; TIDEWAY_PYTHON names another than `python3`. */
const python = process.env.TIDEWAY_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('./triton.py', import.meta.url))

let dir: string
let cloud: Host | undefined
let echo: Listener | undefined
/** What came of each check; null where it holds. */
let results: Record<string, string | null>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-triton-'))
  const config = { dir, roles: ['api' as const], http: { port: 0 }, broker: { port: 0 } }
  cloud = await createCloud(resolveConfig(config), silentLogger)
  await cloud.start()
  const registry = cloud.get(tokens.registry)
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  for (const dtype of Object.keys(everyType) as DataType[]) {
    const model = `same-${dtype}`
    const { manifestDigest } = await putTestVersion(store, model, model, identityModel(dtype))
    await registry.register({ model, manifestDigest, aliases: ['latest'] })
  }
  const address = cloud.get(tokens.server).url
  echo = await listen({ serving: echoed() }, optionsSchema.parse({ port: 0 }))
  const { stdout } = await promisify(execFile)(python, [script, String(address), echo.url])
  results = JSON.parse(stdout) as typeof results
})
afterAll(async () => {
  await echo?.stop()
  await cloud?.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Models of BF16, which ONNX Runtime has no tensors of here, and of more inputs than one: any of these alone. */
function echoed() {
  const serving = echoServing()
  const inputs = [specOf('a', 'int8'), specOf('b', 'int8'), specOf('h', 'float16'), specOf('bf', 'bfloat16')]
  return {
    ...serving,
    infer(...[model, version, tensors]: Parameters<typeof serving.infer>) {
      serving.takes(...inputs.filter(({ name }) => Object.hasOwn(tensors, name)))
      return serving.infer(model, version, tensors)
    },
  }
}

it.each([
  'types in binary both ways',
  'types in JSON both ways',
  'types in binary answered in JSON',
  'types in JSON answered in binary',
  'BF16 in binary',
  'rounding of 16 bit floats',
  'NaN and infinities',
  'no rows and many',
  'outputs by name each in its form',
  'a raw body',
  'compressed requests',
  'many at once',
  'its client on asyncio',
  'health and metadata',
  'the model repository',
  'statistics',
  'what is refused',
])("Triton's client finds right: %s", (check) => {
  expect(results).toHaveProperty([check], null)
})
