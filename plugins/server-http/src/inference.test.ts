import type { Signature, Tensors } from '@tideway/core'
import { echoServing, specOf as spec } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from './rig.fixture.js'

const serving = echoServing()
let rig: Rig

beforeAll(async () => {
  rig = await startRig({ serving })
})
afterAll(() => rig?.stop())

function model(...inputs: Signature['inputs']): void {
  serving.takes(...inputs)
}

const infer = (body: unknown, path = '/v2/models/echo/infer') => rig.call('POST', path, body)

describe('the Open Inference Protocol', () => {
  it('tells of server, health and models', async () => {
    model(spec('x', 'float32', [null, 2]))
    expect((await rig.call('GET', '/v2')).body).toMatchObject({
      name: 'tideway',
      extensions: expect.arrayContaining(['binary_tensor_data', 'statistics', 'model_repository']) as string[],
    })
    expect((await rig.call('GET', '/v2/health/live')).body).toEqual({ live: true })
    expect((await rig.call('GET', '/v2/health/ready')).body).toEqual({ ready: true })
    const specs = [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }]
    const metadata = { name: 'echo', versions: ['1', '3'], platform: 'echo', inputs: specs, outputs: specs }
    expect((await rig.call('GET', '/v2/models/echo')).body).toEqual(metadata)
    expect((await rig.call('GET', '/v2/models/echo/versions/3')).body).toEqual(metadata)
    expect((await rig.call('GET', '/v2/models/echo/versions/3/ready')).body).toEqual({ name: 'echo', ready: true })
    expect((await rig.call('GET', '/v2/models/echo/ready')).body).toEqual({ name: 'echo', ready: true })
  })

  it('answers errors with a string, and our code beside it', async () => {
    model(spec('x', 'float32', [null, 2]))
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }]
    for (const [path, code] of [
      ['/v2/models/none/infer', 'MODEL_NOT_FOUND'],
      ['/v2/models/echo/versions/9/infer', 'VERSION_NOT_FOUND'],
    ] as const)
      expect(await infer({ inputs }, path)).toMatchObject({ status: 404, body: { error: expect.any(String), code } })
    expect(await rig.call('GET', '/v2/models/NO')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(await rig.call('GET', '/v2/models/none/ready')).toMatchObject({ status: 404, code: 'MODEL_NOT_FOUND' })
  })

  it('takes data flat or nested, and gives it back flat, with the id of the request', async () => {
    model(spec('x', 'float32', [null, 2, 2]))
    const x = { name: 'x', datatype: 'FP32', shape: [2, 2, 2] }
    const flat = [1, 2, 3, 4, 5, 6, 7, 8.5]
    const nested = [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8.5],
      ],
    ]
    for (const data of [flat, nested]) {
      const { body } = await infer({ id: 'r-1', inputs: [{ ...x, data }] })
      expect(body).toEqual({ model_name: 'echo', model_version: '3', id: 'r-1', outputs: [{ ...x, data: flat }] })
    }
    const { body } = await infer({ inputs: [{ ...x, data: flat }] }, '/v2/models/echo/versions/latest/infer')
    expect(body).not.toHaveProperty('id')
  })

  it('keeps all digits of 64-bit integers: numbers or strings in, and numbers or strings out', async () => {
    model(spec('n', 'int64', [2]))
    const n = { name: 'n', datatype: 'INT64', shape: [2] }
    const data = ['9223372036854775807', '-9223372036854775808']
    const response = await fetch(`${rig.url}/v2/models/echo/infer`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ inputs: [{ ...n, data }] }),
    })
    expect(await response.text()).toContain('"data":[9223372036854775807,-9223372036854775808]')
    const asString = await infer({ parameters: { int64_as_string: true }, inputs: [{ ...n, data }] })
    expect(asString.body).toMatchObject({ outputs: [{ data }] })
    const numbers = await fetch(`${rig.url}/v2/models/echo/infer`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ inputs: [{ ...n, data: [1, 2] }] }).replace('[1,2]}', `[${data.join(',')}]}`),
    })
    expect(await numbers.text()).toContain('"data":[9223372036854775807,-9223372036854775808]')
  })

  it('answers only the outputs asked for, in that order', async () => {
    model(spec('a', 'int8', [1]), spec('b', 'int8', [1]), spec('c', 'int8', [1]))
    const inputs = ['a', 'b', 'c'].map((name) => ({ name, datatype: 'INT8', shape: [1], data: [1] }))
    const some = await infer({ inputs, outputs: [{ name: 'c' }, { name: 'a' }] })
    expect((some.body as { outputs: { name: string }[] }).outputs.map(({ name }) => name)).toEqual(['c', 'a'])
    const unknown = await infer({ inputs, outputs: [{ name: 'c' }, { name: 'd' }, { name: 'toString' }] })
    expect(unknown).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(JSON.stringify(unknown.body)).toMatch(/outputs\.1\.name.*outputs\.2\.name/)
  })

  it('writes NaN and infinities as Triton does, or as null where the request says so', async () => {
    const outputs: Tensors = { y: { dtype: 'float32', shape: [3], data: Float32Array.of(NaN, -Infinity, 1) } }
    const { version } = await serving.metadata('echo')
    const odd = await startRig({ serving: { ...serving, infer: () => Promise.resolve({ version, outputs }) } })
    const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetch(`${odd.url}/v2/models/echo/infer`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    expect(await response.text()).toContain('"data":[NaN,-Infinity,1]')
    const nulls = await odd.call('POST', '/v2/models/echo/infer', { ...body, parameters: { non_finite_as_null: true } })
    expect(nulls.body).toMatchObject({ outputs: [{ data: [null, null, 1] }] })
    await odd.stop()
  })
})

describe('a bad inference request', () => {
  const x = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }

  it('is answered with the names of all bad fields', async () => {
    model(spec('x', 'float32', [null, 2]))
    const answer = await infer({ id: 1, inputs: [{ ...x, data: [1] }, { shape: [-1] }], outputs: 'y' })
    expect(answer).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    const fields = ['id', 'inputs.0.data', 'inputs.1.name', 'inputs.1.datatype', 'inputs.1.shape', 'inputs.1.data']
    const { error } = answer.body as { error: string }
    for (const field of [...fields, 'outputs']) expect(error).toContain(` ${field}: `)
  })

  it('names what does not fit the model', async () => {
    model(spec('x', 'float32', [null, 2]), spec('y', 'int8', [1]))
    const answer = await infer({
      inputs: [
        { ...x, shape: [2, 1] },
        { ...x, name: 'z' },
      ],
    })
    expect(answer).toMatchObject({ status: 400, code: 'INPUT_INVALID' })
    expect((answer.body as { error: string }).error).toMatch(/x: shape.*y: is missing.*z: is not an input/)
  })
})
