import { status } from '@grpc/grpc-js'
import { type AuditEntry, errors, HOST_VERSION, Statistics } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DataType, GRPCInferenceService } from '../generated/inference_pb.js'
import { floats, rawRequest } from '../infer.fixture.js'
import { type Rig, refusalOf, startRig } from '../rig.fixture.js'

const { method } = GRPCInferenceService
const serving = echoServing()
const statistics = new Statistics()
const store = { isThere: true }
const auditLog = {
  append: (entry: object) => Promise.resolve({ ...entry, id: 1, at: '' } as unknown as AuditEntry),
  list: () => (store.isThere ? Promise.resolve([]) : Promise.reject(errors.STORE_UNAVAILABLE({ store: 'it' }))),
}
/** The same, where rows of requests go together. */
let batching: Rig
let rig: Rig

beforeAll(async () => {
  rig = await startRig({ serving, statistics, auditLog })
  const metadata: typeof serving.metadata = async (...asked) => ({
    ...(await serving.metadata(...asked)),
    maxBatchRows: 32,
  })
  batching = await startRig({ serving: { ...serving, metadata } })
})
afterAll(() => Promise.all([rig?.stop(), batching?.stop()]))

const configOf = async (from: Rig) => (await from.call(method.modelConfig, { name: 'echo' })).config
beforeEach(async () => {
  store.isThere = true
  serving.takes(specOf('x', 'float32', [null, 3]))
  await serving.load('echo')
})

describe('the server', () => {
  it('is live, and ready while its store answers', async () => {
    expect(await rig.call(method.serverLive, {})).toMatchObject({ live: true })
    expect(await rig.call(method.serverReady, {})).toMatchObject({ ready: true })
    store.isThere = false
    expect(await rig.call(method.serverReady, {})).toMatchObject({ ready: false })
    expect(await rig.call(method.serverLive, {})).toMatchObject({ live: true })
  })

  it('tells its version and extensions', async () => {
    expect(await rig.call(method.serverMetadata, {})).toMatchObject({
      name: 'tideway',
      version: HOST_VERSION,
      extensions: ['statistics', 'model_configuration', 'model_repository', 'model_repository(unload_dependents)'],
    })
  })

  it('without models is not ready, and says that it has none', async () => {
    const empty = await startRig({})
    try {
      expect(await empty.call(method.serverReady, {})).toMatchObject({ ready: false })
      const refusal = await refusalOf(empty.call(method.modelMetadata, { name: 'echo' }))
      expect(refusal).toMatchObject({ code: status.UNAVAILABLE, tidewayCode: 'ROLE_NOT_HERE' })
    } finally {
      await empty.stop()
    }
  })
})

describe('a model', () => {
  it('is described with its versions, and -1 for what is free', async () => {
    expect(await rig.call(method.modelMetadata, { name: 'echo', version: '1' })).toMatchObject({
      name: 'echo',
      versions: ['1', '3'],
      platform: 'echo',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 3n] }],
      outputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 3n] }],
    })
  })

  it('is ready, is not while it is unloaded, and is refused where it is not there', async () => {
    const ready = () => rig.call(method.modelReady, { name: 'echo' })
    expect(await ready()).toMatchObject({ ready: true })
    await serving.unload('echo')
    expect(await ready()).toMatchObject({ ready: false })
    expect(await refusalOf(rig.call(method.modelReady, { name: 'none' }))).toMatchObject({
      code: status.NOT_FOUND,
      tidewayCode: 'MODEL_NOT_FOUND',
    })
    expect(await refusalOf(rig.call(method.modelReady, { name: '' }))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      tidewayCode: 'INPUT_REJECTED',
    })
  })

  it('has of Triton’s configuration what is so here: with a batch dimension of its own where rows go together', async () => {
    serving.takes(specOf('x', 'float32', [null, 3]), specOf('y', 'string', [null, null]), specOf('z', 'bfloat16', [1]))
    const [asIs, batched] = [await configOf(rig), await configOf(batching)]
    const input = [
      { name: 'x', dataType: DataType.TYPE_FP32, dims: [-1n, 3n] },
      { name: 'y', dataType: DataType.TYPE_STRING, dims: [-1n, -1n] },
      { name: 'z', dataType: DataType.TYPE_BF16, dims: [1n] },
    ]
    const policy = { policyChoice: { case: 'all' } }
    expect(asIs).toMatchObject({ name: 'echo', platform: 'echo', backend: 'onnxruntime', versionPolicy: policy })
    expect(asIs).toMatchObject({ maxBatchSize: 0, input, output: input })
    expect(asIs?.dynamicBatching).toBeUndefined()
    const rows = input.map((tensor) => ({ ...tensor, dims: tensor.dims.slice(1) }))
    expect(batched).toMatchObject({ maxBatchSize: 32, dynamicBatching: {}, input: rows, output: rows })
    expect(await refusalOf(rig.call(method.modelConfig, { name: 'none' }))).toMatchObject({ code: status.NOT_FOUND })
  })
})

describe('the repository', () => {
  it('lists every version with its state, or those alone that are ready', async () => {
    const index = async (ready: boolean) => (await rig.call(method.repositoryIndex, { ready })).models
    expect(await index(false)).toMatchObject([
      { name: 'echo', version: '1', state: 'READY', reason: '' },
      { name: 'echo', version: '3', state: 'READY', reason: '' },
    ])
    await serving.unload('echo')
    expect(await index(false)).toMatchObject([
      { version: '1', state: 'UNAVAILABLE', reason: 'unloaded' },
      { version: '3', state: 'UNAVAILABLE' },
    ])
    expect(await index(true)).toEqual([])
  })

  it('unloads a model, so that requests for it are told to go elsewhere, until it is loaded', async () => {
    const parameters = { unload_dependents: { parameterChoice: { case: 'boolParam' as const, value: true } } }
    await rig.call(method.repositoryModelUnload, { modelName: 'echo', parameters })
    const x = { dtype: 'float32', shape: [1, 3], data: new Float32Array(3) } as const
    expect(await refusalOf(rig.call(method.modelInfer, rawRequest({ x })))).toMatchObject({
      code: status.UNAVAILABLE,
      tidewayCode: 'MODEL_UNLOADED',
    })
    await rig.call(method.repositoryModelLoad, { modelName: 'echo' })
    expect(await rig.call(method.modelInfer, rawRequest({ x }))).toMatchObject({ modelVersion: '3' })
  })

  it('refuses what it does not know, all of it named', async () => {
    const given = (value: string) => ({ parameterChoice: { case: 'stringParam' as const, value } })
    const order = { repositoryName: 'mine', modelName: 'echo', parameters: { config: given('{}'), files: given('x') } }
    const refusal = await refusalOf(rig.call(method.repositoryModelLoad, order))
    expect(refusal).toMatchObject({ code: status.INVALID_ARGUMENT, tidewayCode: 'INPUT_REJECTED' })
    for (const field of ['repository_name:', 'parameters.config:', 'parameters.files:'])
      expect(refusal.details).toContain(field)
    const wrong = { modelName: 'echo', parameters: { unload_dependents: given('true') } }
    expect((await refusalOf(rig.call(method.repositoryModelUnload, wrong))).details).toContain('must be a boolParam')
  })

  it('is not there where models cannot be loaded', async () => {
    const { metadata, infer } = serving
    const bare = await startRig({ serving: { metadata, infer } })
    try {
      expect((await bare.call(method.serverMetadata, {})).extensions).toEqual(['statistics', 'model_configuration'])
      expect(await refusalOf(bare.call(method.repositoryIndex, {}))).toMatchObject({
        code: status.UNIMPLEMENTED,
        tidewayCode: 'EXTENSION_NOT_HERE',
      })
    } finally {
      await bare.stop()
    }
  })
})

describe('statistics', () => {
  it('are those of every door to the same models', async () => {
    serving.takes(specOf('x', 'float32'))
    serving.timing = { queueNs: 5, runNs: 7, rows: 2, batchSize: 2, leads: true }
    statistics.of('echo', '3').succeeded({ ...measured, totalNs: 1_000 })
    const before = await of3()
    await rig.call(method.modelInfer, rawRequest({ x: floats(1, 2) }))
    await refusalOf(rig.call(method.modelInfer, rawRequest({ y: floats(1) })))
    const after = await of3()
    expect(after.inferenceCount - before.inferenceCount).toBe(2n)
    expect(after.executionCount - before.executionCount).toBe(1n)
    expect(after.inferenceStats?.success?.count).toBe(before.inferenceStats!.success!.count + 1n)
    expect(after.inferenceStats?.success?.ns).toBeGreaterThan(1_000n)
    expect(after.inferenceStats?.fail?.count).toBe(before.inferenceStats!.fail!.count + 1n)
    expect(after.lastInference).toBeGreaterThan(1_700_000_000_000n)
    expect(after.batchStats.find(({ batchSize }) => batchSize === 2n)?.computeInfer?.ns).toBe(7n)
    // Of what is loaded, without a name.
    const all = await rig.call(method.modelStatistics, {})
    expect(all.modelStats.map(({ name, version }) => `${name} ${version}`)).toEqual(['echo 1', 'echo 3'])
  })

  it('are refused of a model that is not there', async () => {
    expect(await refusalOf(rig.call(method.modelStatistics, { name: 'none' }))).toMatchObject({
      code: status.NOT_FOUND,
      tidewayCode: 'MODEL_NOT_FOUND',
    })
  })
})

const measured = { rows: 1, batchSize: 1, leads: true, totalNs: 1, queueNs: 1, inputNs: 1, inferNs: 1, outputNs: 1 }

async function of3() {
  const { modelStats } = await rig.call(method.modelStatistics, { name: 'echo', version: '3' })
  expect(modelStats).toHaveLength(1)
  return modelStats[0]!
}
