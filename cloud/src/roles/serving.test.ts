import {
  createHost,
  definePlugin,
  type Host,
  type Runtime,
  runMeasured,
  type Serving,
  type ServingConfig,
  silentLogger,
  type Token,
  tokens,
} from '@tideway/core'
import { GraphBuilder, makeNode, readModel, writeModel } from '@tideway/onnx'
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
const chunks = { read: 0 }

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
    giving(tokens.chunkStore, {
      ...services.chunkStore,
      get: (sha256: string) => {
        chunks.read++
        return services.chunkStore.get(sha256)
      },
    }),
    giving(tokens.trafficStore, services.trafficStore),
    giving(tokens.runtime, counting),
    giving(tokens.logger, silentLogger),
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

/** A version that `latest` names from now on; `marker` makes its manifest another one. */
async function register(model: string, file?: Uint8Array, marker = model): Promise<void> {
  const { manifestDigest } = await putTestVersion(services, model, marker, file)
  await services.registry.register({ model, manifestDigest, aliases: ['latest'] })
}

/** A file of its own: y = x + number. */
function small(number: number): Uint8Array {
  const g = new GraphBuilder('small')
  const added = g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(number) })
  g.output('y', g.op('Add', [g.input('x', 'float32', [null, 2]), added]))
  return writeModel(g.build())
}

const x = (rows: number) =>
  ({ x: { dtype: 'float32', shape: [rows, 2], data: new Float32Array(2 * rows).fill(rows) } }) as const
const stateOf = async (model: string) => (await serving.index()).find((entry) => entry.model === model)

/** A host of its own, whose models are run as configured; it sees what the others registered. */
async function servingWith(config: ServingConfig): Promise<{ serving: Required<Serving>; stop: () => Promise<void> }> {
  const other = createHost()
  other.use(
    giving(tokens.registry, services.registry),
    giving(tokens.trafficStore, services.trafficStore),
    giving(tokens.chunkStore, services.chunkStore),
    giving(tokens.runtime, createOnnxNodeRuntime()),
    giving(tokens.logger, silentLogger),
    servingPlugin(config),
  )
  await other.start()
  return { serving: other.get(tokens.serving) as Required<Serving>, stop: () => other.stop() }
}

/** Adds a number that it draws anew in each run. */
function drawing(): Uint8Array {
  const model = readModel(small(1))
  const add = model.graph!.node[0]!
  add.input[1] = 'drawn'
  model.graph!.node.unshift(makeNode('RandomUniformLike', ['x'], ['drawn']))
  return writeModel(model)
}

describe('answers that are kept', () => {
  it('are given again, of the models that were named and always answer alike, until the version is another one', async () => {
    await register('counted', small(1))
    await register('drawn', drawing())
    const { serving: keeping, stop } = await servingWith({ cache: { models: ['counted', 'drawn'] } })
    const ask = async (model: string) => (await keeping.infer(model, undefined, x(1))).timing?.cache?.result
    expect([await ask('counted'), await ask('counted')]).toEqual(['miss', 'hit'])
    expect([await ask('drawn'), await ask('drawn'), await ask('same')]).toEqual(['bypass', 'bypass', 'bypass'])
    await register('counted', small(2))
    await expect
      .poll(async () => (await keeping.infer('counted', undefined, x(1))).outputs.y?.data)
      .toEqual(Float32Array.of(3, 3))
    const { hits, misses, bypassed } = keeping.cacheTotals() ?? { hits: 0, misses: 0, bypassed: 0 }
    expect([misses, bypassed]).toEqual([2, 3])
    expect(hits).toBeGreaterThan(0)
    await keeping.unload('counted')
    await expect(keeping.infer('counted', undefined, x(1))).rejects.toMatchObject({ code: 'MODEL_UNLOADED' })
    await stop()
  })

  it('are none where it is not configured', async () => {
    expect((await serving.infer('same', undefined, x(1))).timing?.cache).toBeUndefined()
    expect(serving.cacheTotals()).toBeUndefined()
  })
})

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

  it('are not loaded once more to say which version a failed request was for', async () => {
    const statistics = host.get(tokens.statistics)
    const form = { decode: () => ({ inputs: x(1) }), encode: () => 'an answer' }
    const before = chunks.read
    await expect(runMeasured({ serving, statistics }, { model: 'broken' }, form)).rejects.toMatchObject({
      code: 'MODEL_INVALID',
    })
    const once = chunks.read - before
    await expect(serving.infer('broken', undefined, x(1))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    expect(chunks.read - before).toBe(2 * once)
    expect(statistics.of('broken', '1').toJson('broken', '1').inference_stats.fail.count).toBe(1)
  })

  it('that are not registered are not found', async () => {
    await expect(serving.load('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await expect(serving.unload('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })

  it('go on with the version before until the next is loaded, and no request is lost over many switches', async () => {
    await register('moving', small(1))
    const versions: number[] = []
    let isDone = false
    const failures: unknown[] = []
    const client = async (): Promise<void> => {
      while (!isDone) {
        await serving.infer('moving', undefined, x(1)).then(
          ({ version, outputs }) => {
            versions.push(version.version)
            if (outputs.y?.data[0] !== 1 + version.version) failures.push(version)
          },
          (error: unknown) => void failures.push(error),
        )
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const clients = Array.from({ length: 4 }, client)
    for (let version = 2; version <= 13; version++) {
      await register('moving', small(version))
      await expect.poll(() => versions.at(-1)).toBe(version)
    }
    isDone = true
    await Promise.all(clients)
    expect(failures).toEqual([])
    // Four clients' answers may cross by one version, never by more.
    for (const [at, version] of versions.entries()) expect(version).toBeGreaterThanOrEqual((versions[at - 1] ?? 1) - 1)
  })

  it('keep the version before where the next cannot be loaded', async () => {
    await register('kept', identityModel('float32'))
    await serving.infer('kept', undefined, x(1))
    await register('kept', undefined, 'no model')
    for (let at = 0; at < 5; at++) expect((await serving.infer('kept', undefined, x(1))).version.version).toBe(1)
    await expect(serving.infer('kept', '2', x(1))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    await expect.poll(async () => (await serving.infer('kept', undefined, x(1))).version.version).toBe(1)
  })
})
