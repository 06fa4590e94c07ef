import { request as httpRequest } from 'node:http'
import { decodeInferAnswer, encodeInferRequest, silentLogger } from '@tideway/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MapCloud, startEdge, temporary, untilActive } from '../edge.fixture.js'
import { type Door, openDoor } from './door.js'

async function open(maxBodyBytes?: number): Promise<Door & { readonly cloud: MapCloud }> {
  const cloud = new MapCloud()
  const v1 = cloud.publish({ factor: 2 })
  const edge = await startEdge(cloud, await temporary())
  cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
  await untilActive(edge, v1)
  const door = await openDoor(edge, { host: '127.0.0.1', port: 0, logger: silentLogger, maxBodyBytes })
  onTestFinished(() => door.close())
  return { ...door, cloud }
}

const x = { name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }
const post = (url: string, body: unknown) =>
  fetch(url, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })

describe('the local door', () => {
  it('infers, with data flat or nested, and tells the model', async () => {
    const { url } = await open()
    for (const data of [
      x.data,
      [
        [1, 2],
        [3, 4],
      ],
    ]) {
      const response = await post(`${url}/v2/models/m/infer`, { id: '7', inputs: [{ ...x, data }] })
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual({
        model_name: 'm',
        model_version: '1',
        id: '7',
        outputs: [{ name: 'y', datatype: 'FP32', shape: [2, 2], data: [2, 4, 6, 8] }],
      })
    }
    expect(await (await fetch(`${url}/v2/models/m`)).json()).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'tideway_edge',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    })
    expect((await post(`${url}/v2/models/m/versions/1/infer`, { inputs: [x] })).status).toBe(200)
    expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true })
    expect(await (await fetch(`${url}/v2/models/m/ready`)).json()).toEqual({ ready: true })
  })

  it('infers with tensors in binary both ways', async () => {
    const { url } = await open()
    const LENGTH = 'Inference-Header-Content-Length'
    const tensor = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const
    const { body, headerBytes } = encodeInferRequest({ inputs: { x: tensor } })
    const send = (length: string, bytes: Uint8Array<ArrayBuffer>) =>
      fetch(`${url}/v2/models/m/infer`, { method: 'POST', headers: { [LENGTH]: length }, body: bytes })
    const raw = new Uint8Array(tensor.data.slice().buffer)
    for (const [length, bytes] of [
      [headerBytes, body],
      [0, raw],
    ] as const) {
      const response = await send(String(length), bytes)
      expect(response.headers.get('content-type')).toBe('application/octet-stream')
      const answer = new Uint8Array(await response.arrayBuffer())
      const { outputs } = decodeInferAnswer(answer, Number(response.headers.get(LENGTH)))
      expect(outputs).toEqual({ y: { ...tensor, data: Float32Array.of(2, 4, 6, 8) } })
    }
    for (const length of ['x', String(body.byteLength + 1)]) expect((await send(length, body)).status).toBe(400)
  })

  it('tells the status and flushes', async () => {
    const { url, cloud } = await open()
    await post(`${url}/v2/models/m/infer`, { inputs: [x] })
    expect(await (await fetch(`${url}/v1/status`)).json()).toMatchObject({
      device: 'd1',
      pid: process.pid,
      models: { m: { status: 'active', inferences: 1, errors: 0 } },
    })
    expect((await post(`${url}/v1/flush`, '')).status).toBe(200)
    expect(cloud.kinds('profile')).toHaveLength(1)
  })

  it('answers what is wrong with a code, and goes on', async () => {
    const { url } = await open()
    const infer = `${url}/v2/models/m/infer`
    const wrong: [string, unknown, number, string][] = [
      [infer, '{"inputs":', 400, 'JSON_INVALID'],
      [infer, '\xff\xfe', 400, 'JSON_INVALID'],
      [infer, '', 400, 'JSON_INVALID'],
      [infer, 'null', 400, 'INPUT_REJECTED'],
      [infer, {}, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [null] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [x, x] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, datatype: 'FP7' }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, shape: [2, -2] }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, shape: [2 ** 40, 2 ** 40] }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, data: [1, 2, 3] }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, data: [[1, 2], [3]] }] }, 400, 'INPUT_REJECTED'],
      [
        infer,
        {
          inputs: [
            {
              ...x,
              data: [
                [[1], 2],
                [3, 4],
              ],
            },
          ],
        },
        400,
        'INPUT_REJECTED',
      ],
      [infer, { inputs: [{ ...x, data: [1, 2, 3, 'x'] }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [x], outputs: [{ name: 'z' }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [x], outputs: 5 }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [x], id: 5 }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, data: undefined, parameters: { binary_data_size: 16 } }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, name: 'z' }] }, 400, 'INPUT_INVALID'],
      [infer, { inputs: [{ ...x, shape: [4, 1] }] }, 400, 'INPUT_INVALID'],
      [infer, { inputs: [{ ...x, datatype: 'INT64' }] }, 400, 'INPUT_INVALID'],
      [infer, { inputs: [{ ...x, datatype: 'INT64', data: [1, 2, 3, 2 ** 64] }] }, 400, 'INPUT_REJECTED'],
      [infer, { inputs: [{ ...x, datatype: 'INT64', data: [1, 2, 3, `${2n ** 53n + 1n}`] }] }, 400, 'INPUT_INVALID'],
      [`${url}/v2/models/other/infer`, { inputs: [x] }, 404, 'MODEL_NOT_ACTIVE'],
      [`${url}/v2/models/__proto__/infer`, { inputs: [x] }, 404, 'MODEL_NOT_ACTIVE'],
      [`${url}/v2/models/m/versions/2/infer`, { inputs: [x] }, 404, 'VERSION_NOT_FOUND'],
      [`${url}/v2/models/m`, {}, 404, 'EDGE_ROUTE_NOT_FOUND'],
      [`${url}/nothing`, {}, 404, 'EDGE_ROUTE_NOT_FOUND'],
    ]
    for (const [address, body, status, code] of wrong) {
      const response = await post(address, body)
      expect([response.status, ((await response.json()) as { code: string }).code], JSON.stringify(body)).toEqual([
        status,
        code,
      ])
    }
    for (const path of ['/v2/models/other', '/v2/models/m/infer', '/%00']) {
      expect((await fetch(url + path)).status).toBe(404)
    }
    expect((await post(infer, { inputs: [x] })).status).toBe(200)
  })

  it('stops reading a body at the limit, whether or not its length was declared', async () => {
    const { url } = await open(10_000)
    const infer = `${url}/v2/models/m/infer`
    const declared = await post(infer, 'x'.repeat(20_000))
    expect([declared.status, ((await declared.json()) as { code: string }).code]).toEqual([413, 'TOO_LARGE'])
    let pulled = 0
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    const options = { method: 'POST', body: endless, duplex: 'half' as const }
    const streamed = await fetch(infer, options).then(
      ({ status }) => status,
      // The connection may be closed under a client that never stops sending.
      () => 413,
    )
    expect(streamed).toBe(413)
    expect(pulled).toBeGreaterThan(0)
    expect((await post(infer, { inputs: [x] })).status).toBe(200)
  })

  it('refuses requests that name another machine as their host or origin', async () => {
    const { url } = await open()
    const statusWith = (headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        httpRequest(`${url}/v1/status`, { headers }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await statusWith({ host: 'evil.example' })).toBe(403)
    expect(await statusWith({ origin: 'http://evil.example' })).toBe(403)
    expect(await statusWith({ origin: 'null' })).toBe(403)
    expect(await statusWith({ origin: 'http://localhost:3000' })).toBe(200)
  })

  it('listens on loopback only', async () => {
    const edge = await startEdge(new MapCloud(), await temporary())
    const door = openDoor(edge, { host: '0.0.0.0', port: 0, logger: silentLogger })
    await expect(door).rejects.toMatchObject({ code: 'CREDENTIALS_REQUIRED' })
  })
})
