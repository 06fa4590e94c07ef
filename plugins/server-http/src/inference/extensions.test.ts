import { type Serving, TidewayError } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'

let serving: ReturnType<typeof echoServing>
let rig: Rig

beforeEach(async () => {
  serving = echoServing()
  serving.takes(specOf('x', 'float32', [null, 2]))
  rig = await startRig({ serving })
})
afterEach(() => rig?.stop())

const infer = (data: number[], path = '/v2/models/echo/infer') =>
  rig.call('POST', path, { inputs: [{ name: 'x', datatype: 'FP32', shape: [data.length / 2, 2], data }] })

describe('the model repository extension', () => {
  it('lists every version with its state, or those alone that are ready', async () => {
    const entry = { name: 'echo', state: 'READY', reason: '' }
    const all = [
      { ...entry, version: '1' },
      { ...entry, version: '3' },
    ]
    expect((await rig.call('POST', '/v2/repository/index', {})).body).toEqual(all)
    expect((await rig.call('POST', '/v2/repository/index')).body).toEqual(all)
    await rig.call('POST', '/v2/repository/models/echo/unload')
    expect((await rig.call('POST', '/v2/repository/index', { ready: true })).body).toEqual([])
    expect((await rig.call('POST', '/v2/repository/index', { ready: false })).body).toMatchObject([
      { version: '1', state: 'UNAVAILABLE', reason: 'unloaded' },
      { version: '3' },
    ])
  })

  it('unloads a model, so that it is not ready and not run, until it is loaded', async () => {
    const parameters = { unload_dependents: true }
    expect(await rig.call('POST', '/v2/repository/models/echo/unload', { parameters })).toMatchObject({ status: 200 })
    const unready = { name: 'echo', ready: false, code: 'MODEL_UNLOADED' }
    expect(await rig.call('GET', '/v2/models/echo/ready')).toMatchObject({ status: 503, body: unready })
    expect(await rig.call('GET', '/v2/models/echo/versions/1/ready')).toMatchObject({ status: 503, body: unready })
    expect(await infer([1, 2])).toMatchObject({ status: 404, code: 'MODEL_UNLOADED' })
    expect(await rig.call('POST', '/v2/repository/models/echo/load', {})).toMatchObject({ status: 200 })
    expect((await rig.call('GET', '/v2/models/echo/ready')).body).toEqual({ name: 'echo', ready: true })
    expect((await infer([1, 2])).status).toBe(200)
  })

  it('refuses what it does not know', async () => {
    const load = (parameters: unknown, model = 'echo') =>
      rig.call('POST', `/v2/repository/models/${model}/load`, { parameters })
    for (const parameters of [{ config: '{}' }, { 'file:1/model.onnx': 'AA==' }, 'x'])
      expect(await load(parameters)).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(await load({}, 'none')).toMatchObject({ status: 404, code: 'MODEL_NOT_FOUND' })
    expect(await load({}, '..%2F..%2Fetc')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(await rig.call('POST', '/v2/repository/index', { ready: 1 })).toMatchObject({ code: 'INPUT_REJECTED' })
  })

  it('is not there where models cannot be unloaded', async () => {
    const withoutPowers = { ...serving, index: undefined, load: undefined, unload: undefined }
    const plain = await startRig({ serving: withoutPowers })
    const { extensions } = (await plain.call('GET', '/v2')).body as { extensions: string[] }
    expect(extensions).toEqual(['binary_tensor_data', 'statistics', 'model_configuration'])
    const index = await plain.call('POST', '/v2/repository/index')
    expect(index).toMatchObject({ status: 501, code: 'EXTENSION_NOT_HERE' })
    await plain.stop()
  })
})

describe('the model configuration extension', () => {
  it('tells what of a configuration is so, with a batch dimension of its own where rows go together', async () => {
    serving.takes(specOf('x', 'float32', [null, 3]), specOf('y', 'string', [null, null]))
    const input = [
      { name: 'x', data_type: 'TYPE_FP32', dims: [-1, 3] },
      { name: 'y', data_type: 'TYPE_STRING', dims: [-1, -1] },
    ]
    const common = { name: 'echo', platform: 'echo', backend: 'onnxruntime', version_policy: { all: {} } }
    for (const path of ['/v2/models/echo/config', '/v2/models/echo/versions/1/config'])
      expect((await rig.call('GET', path)).body).toEqual({ ...common, max_batch_size: 0, input, output: input })
    expect(await rig.call('GET', '/v2/models/none/config')).toMatchObject({ status: 404, code: 'MODEL_NOT_FOUND' })

    const metadata: Serving['metadata'] = async (...asked) => ({
      ...(await serving.metadata(...asked)),
      maxBatchRows: 32,
    })
    const batching = await startRig({ serving: { ...serving, metadata } })
    const rows = input.map((tensor) => ({ ...tensor, dims: tensor.dims.slice(1) }))
    const batched = { ...common, max_batch_size: 32, input: rows, output: rows, dynamic_batching: {} }
    expect((await batching.call('GET', '/v2/models/echo/config')).body).toEqual(batched)
    await batching.stop()
  })
})

describe('a model that cannot be loaded', () => {
  it('is not ready, with the reason, and what is no code of ours stays inside', async () => {
    const broken = (error: Error): Serving => ({ ...serving, metadata: () => Promise.reject(error) })
    const invalid = new TidewayError('MODEL_INVALID', 'the bytes are not a usable model', {}, 400)
    const coded = await startRig({ serving: broken(invalid) })
    expect(await coded.call('GET', '/v2/models/echo/ready')).toMatchObject({
      status: 503,
      body: { name: 'echo', ready: false, code: 'MODEL_INVALID' },
    })
    await coded.stop()
    const other = await startRig({ serving: broken(new Error('secret')) })
    const answer = await other.call('GET', '/v2/models/echo/ready')
    expect(answer).toMatchObject({ status: 500, code: 'INTERNAL' })
    expect(JSON.stringify(answer.body)).not.toContain('secret')
    await other.stop()
  })
})

interface Stat {
  count: number
  ns: number
}
interface ModelStat {
  name: string
  version: string
  last_inference: number
  inference_count: number
  execution_count: number
  inference_stats: Record<string, Stat>
  batch_stats: ({ batch_size: number } & Record<string, Stat>)[]
}

describe('the statistics extension', () => {
  const stats = async (path: string) => ((await rig.call('GET', path)).body as { model_stats: ModelStat[] }).model_stats

  it('counts requests, rows and failures of each version, and how long they took', async () => {
    const began = Date.now()
    serving.timing = { queueNs: 1_000, runNs: 5_000, rows: 3, batchSize: 3, leads: true }
    await infer([1, 2, 3, 4, 5, 6])
    await infer([1, 2, 3, 4, 5, 6], '/v2/models/echo/versions/3/infer')
    serving.timing = { queueNs: 500, runNs: 4_000, rows: 1, batchSize: 1, leads: true }
    await infer([1, 2])
    await infer([1, 2], '/v2/models/echo/versions/1/infer')
    await rig.call('POST', '/v2/models/echo/infer', {
      inputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
    })
    const [one, three] = await stats('/v2/models/echo/stats')
    expect(one).toMatchObject({ name: 'echo', version: '1', inference_count: 1, execution_count: 1 })
    expect(three).toMatchObject({ name: 'echo', version: '3', inference_count: 7, execution_count: 3 })
    expect(three?.last_inference).toBeGreaterThanOrEqual(began)
    const { success, fail, queue, compute_input, compute_infer, compute_output } = three!.inference_stats
    expect([success?.count, fail?.count, queue, compute_infer]).toEqual([
      3,
      1,
      { count: 3, ns: 2_500 },
      { count: 3, ns: 14_000 },
    ])
    for (const stat of [success, fail, compute_input, compute_output]) expect(stat?.ns).toBeGreaterThan(0)
    expect(three?.batch_stats).toMatchObject([
      { batch_size: 1, compute_infer: { count: 1, ns: 4_000 } },
      { batch_size: 3, compute_infer: { count: 2, ns: 10_000 } },
    ])
    expect(await stats('/v2/models/stats')).toEqual([one, three])
    expect(await stats('/v2/models/echo/versions/latest/stats')).toEqual([three])
  })

  it('counts a run that requests shared once, and each of them', async () => {
    const before = (await stats('/v2/models/echo/versions/3/stats'))[0]!
    serving.timing = { queueNs: 1, runNs: 7_000, rows: 1, batchSize: 40, leads: true }
    await infer([1, 2])
    serving.timing = { ...serving.timing, leads: false }
    await infer([1, 2])
    serving.timing = undefined
    const [after] = await stats('/v2/models/echo/versions/3/stats')
    expect(after!.inference_count - before.inference_count).toBe(2)
    expect(after!.execution_count - before.execution_count).toBe(1)
    expect(after!.batch_stats.at(-1)).toMatchObject({ batch_size: 40, compute_infer: { count: 1, ns: 7_000 } })
  })

  it('counts answers that were kept as successes which were not computed', async () => {
    const before = (await stats('/v2/models/echo/versions/3/stats'))[0]!
    const timing = { queueNs: 10, runNs: 0, rows: 1, batchSize: 1, leads: false }
    serving.timing = { ...timing, cache: { result: 'hit', ns: 300 } }
    await infer([1, 2])
    serving.timing = { ...timing, runNs: 5_000, leads: true, cache: { result: 'miss', ns: 700 } }
    await infer([1, 2])
    serving.timing = { ...serving.timing, cache: { result: 'bypass', ns: 0 } }
    await infer([1, 2])
    serving.timing = undefined
    const [after] = await stats('/v2/models/echo/versions/3/stats')
    const grown = (name: string) => after!.inference_stats[name]!.count - before.inference_stats[name]!.count
    expect(after!.inference_count - before.inference_count).toBe(2)
    expect(after!.execution_count - before.execution_count).toBe(2)
    expect(['success', 'queue', 'compute_infer', 'cache_hit', 'cache_miss'].map(grown)).toEqual([3, 3, 2, 1, 1])
    expect(after!.inference_stats).toMatchObject({
      cache_hit: { count: 1, ns: 300 },
      cache_miss: { count: 1, ns: 700 },
    })
  })

  it('measures the call where the host says nothing of the run', async () => {
    await infer([1, 2])
    const [, three] = await stats('/v2/models/echo/stats')
    const { success, queue, compute_input, compute_infer, compute_output } = three!.inference_stats
    expect(queue).toEqual({ count: 0, ns: 0 })
    expect(compute_infer?.ns).toBeGreaterThan(0)
    const parts = [compute_input, compute_infer, compute_output].reduce((sum, stat) => sum + stat!.ns, 0)
    // Each is rounded to a whole nanosecond.
    expect(Math.abs(success!.ns - parts)).toBeLessThanOrEqual(4)
  })

  it('has zeros for a version that was not asked for, and nothing for what is not there', async () => {
    expect(await stats('/v2/models/echo/versions/1/stats')).toMatchObject([
      { version: '1', last_inference: 0, inference_count: 0, batch_stats: [] },
    ])
    expect(await rig.call('GET', '/v2/models/none/stats')).toMatchObject({ status: 404, code: 'MODEL_NOT_FOUND' })
    expect(await rig.call('GET', '/v2/models/echo/versions/9/stats')).toMatchObject({ code: 'VERSION_NOT_FOUND' })
    await infer([1, 2], '/v2/models/none/infer')
    expect((await stats('/v2/models/stats')).map(({ name }) => name)).toEqual(['echo', 'echo'])
  })
})
