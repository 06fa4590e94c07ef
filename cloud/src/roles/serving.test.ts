import { createHost, definePlugin, type Host, type Runtime, type Serving, type Token, tokens } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { openTestServices, putTestVersion, type TestServices } from '@tideway/test/support/cloud-services'
import { identityModel } from '@tideway/test/support/onnx-models'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serving as servingPlugin } from './serving.js'

let services: TestServices
let host: Host
let serving: Required<Serving>
/** How often the runtime loaded something, also to try it, and how many of those sessions were disposed of. */
const counts = { loaded: 0, disposed: 0 }

beforeAll(async () => {
  services = await openTestServices()
  const runtime = createOnnxNodeRuntime()
  const counting: Runtime = {
    ...runtime,
    async load(bytes) {
      const session = await runtime.load(bytes)
      counts.loaded++
      const dispose = () => {
        counts.disposed++
        return session.dispose()
      }
      return { signature: session.signature, run: (inputs) => session.run(inputs), dispose }
    },
  }
  host = createHost()
  host.use(
    giving(tokens.registry, services.registry),
    giving(tokens.chunkStore, services.chunkStore),
    giving(tokens.runtime, counting),
    servingPlugin(),
  )
  await host.start()
  serving = host.get(tokens.serving) as Required<Serving>
  await register('same', identityModel('float32'))
  await register('broken')
})
afterAll(async () => {
  await host?.stop()
  await services?.close()
})
beforeEach(async () => {
  await serving.unload('same')
  await serving.load('same')
  Object.assign(counts, { loaded: 0, disposed: 0 })
})

function giving<T>(token: Token<T>, thing: T) {
  return definePlugin({
    name: `given-${String(token)}`,
    provides: [token],
    register: (scope) => scope.provide(token, () => thing),
  })()
}

async function register(model: string, file?: Uint8Array): Promise<void> {
  const { manifestDigest } = await putTestVersion(services, model, model, file)
  await services.registry.register({ model, manifestDigest, aliases: ['latest'] })
}

const x = (rows: number) =>
  ({ x: { dtype: 'float32', shape: [rows, 2], data: new Float32Array(2 * rows).fill(rows) } }) as const
const stateOf = async (model: string) => (await serving.index()).find((entry) => entry.model === model)

describe('models in the cloud', () => {
  it('are run, and the run is measured', async () => {
    const { outputs, timing } = await serving.infer('same', undefined, x(3))
    expect(outputs.y?.data).toEqual(x(3).x.data)
    expect(timing?.batchSize).toBe(3)
    expect(timing?.runNs).toBeGreaterThan(0)
    expect(timing?.queueNs).toBeGreaterThan(0)
    expect(counts).toEqual({ loaded: 0, disposed: 0 })
  })

  it('are freed when they are unloaded, after the runs in flight, and not loaded by a request', async () => {
    const asked = Array.from({ length: 20 }, () => serving.infer('same', undefined, x(1)))
    expect(await stateOf('same')).toMatchObject({ version: '1', state: 'ready', reason: '' })
    await serving.unload('same')
    expect(counts).toEqual({ loaded: 0, disposed: 1 })
    for (const result of await Promise.allSettled(asked))
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'MODEL_UNLOADED' })
    expect(await stateOf('same')).toMatchObject({ state: 'unavailable', reason: 'unloaded' })
    await expect(serving.infer('same', undefined, x(1))).rejects.toMatchObject({ code: 'MODEL_UNLOADED' })
    await expect(serving.metadata('same', '1')).rejects.toMatchObject({ code: 'MODEL_UNLOADED' })
    await serving.load('same')
    expect((await serving.infer('same', '1', x(2))).outputs.y?.shape).toEqual([2, 2])
    expect(counts.loaded).toBeGreaterThan(0)
    expect(counts.loaded).toBe(counts.disposed)
  })

  it('are loaded anew when they are loaded again, and requests meanwhile are answered', async () => {
    const asked = Array.from({ length: 20 }, () => serving.infer('same', undefined, x(1)))
    await Promise.all([serving.load('same'), ...asked])
    expect(counts.loaded).toBeGreaterThan(0)
    expect(counts.loaded).toBe(counts.disposed)
    expect((await serving.infer('same', undefined, x(1))).outputs.y?.shape).toEqual([1, 2])
  })

  it('that cannot be loaded say why, and stay as they were', async () => {
    expect(await stateOf('broken')).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('not loaded'),
    })
    await expect(serving.load('broken')).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    expect(await stateOf('broken')).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('usable model'),
    })
    await expect(serving.infer('broken', undefined, x(1))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('that are not registered are not found', async () => {
    await expect(serving.load('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await expect(serving.unload('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })
})
