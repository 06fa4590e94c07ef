import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createClient } from '@tideway/client'
import { type CloudConfig, resolveConfig, silentLogger } from '@tideway/core'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { callGrpc, grpcStatus, inferMessage } from '@tideway/test/support/grpc-call'
import { affineModel, identityModel, scalingModel } from '@tideway/test/support/onnx-models'
import { describe, expect, it } from 'vitest'
import { type ServeProcess, serveFiles } from './serve.js'

/** Serves these bytes, each as a file of that name, on a free port. */
async function serving(
  models: Readonly<Record<string, Uint8Array | string>>,
  onFinished: OnFinished,
  config: CloudConfig = {},
): Promise<ServeProcess & { readonly folder: string }> {
  const folder = await temporaryFolder(onFinished)
  const files = await Promise.all(
    Object.entries(models).map(async ([model, bytes]) => {
      const file = join(folder, `${model}.onnx`)
      await writeFile(file, bytes)
      return { model, file }
    }),
  )
  const resolved = resolveConfig({ http: { port: 0 } }, config)
  const served = await serveFiles(files, resolved, silentLogger)
  onFinished(() => served.stop())
  return { ...served, folder }
}

async function ask(url: string, body?: unknown, headers: Record<string, string> = {}) {
  const post = {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  }
  const response = await fetch(url, body === undefined ? { headers } : post)
  const text = await response.text()
  return {
    status: response.status,
    text,
    body: (text.startsWith('{') ? JSON.parse(text) : {}) as Record<string, unknown>,
  }
}
const ROW = { inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] }
const same = identityModel('float32')

describe('files that are served without a store', () => {
  it('are answered as the models do, by name, by version and by alias', async ({ onTestFinished }) => {
    const { url, models } = await serving({ same, affine: affineModel() }, onTestFinished)
    for (const path of ['same', 'same/versions/1', 'same/versions/latest']) {
      const { status, body } = await ask(`${url}/v2/models/${path}/infer`, ROW)
      expect(status).toBe(200)
      expect(body).toMatchObject({ model_name: 'same', model_version: '1', outputs: [{ name: 'y', data: [1, 2] }] })
    }
    expect((await ask(`${url}/v2/models/affine`)).body).toMatchObject({ name: 'affine', versions: ['1'] })
    expect((await ask(`${url}/v2/models/same/versions/2/infer`, ROW)).status).toBe(404)
    const { body } = await ask(`${url}/v1/models/same`)
    expect(body).toMatchObject({ versions: [{ version: 1, manifestDigest: models[0]?.sha256 }] })
  })

  it('are loaded, have run and count as ready before anybody asks', async ({ onTestFinished }) => {
    const { url } = await serving({ same, affine: affineModel() }, onTestFinished)
    const { text } = await ask(`${url}/metrics`)
    expect(text).toMatch(/^tideway_models_loaded 2$/m)
    expect(text).toMatch(/^tideway_model_loads_total\{result="done"\} 2$/m)
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
    for (const path of ['/v2/health/ready', '/v1/health/ready', '/v2/models/affine/ready'])
      expect((await ask(url + path)).status).toBe(200)
  })

  it('are all kept, also more than a cloud keeps by default', async ({ onTestFinished }) => {
    const models = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`m${at}`, scalingModel(at)] as const))
    const { url } = await serving(models, onTestFinished)
    expect((await ask(`${url}/metrics`)).text).toMatch(/^tideway_models_loaded 10$/m)
    const { body } = await ask(`${url}/v2/models/m7/infer`, ROW)
    expect(body).toMatchObject({ outputs: [{ data: [7, 14] }] })
  })

  it('can be unloaded, and loaded again from their file as long as that is what it was', async ({ onTestFinished }) => {
    const { url, folder } = await serving({ same }, onTestFinished)
    const again = (what: string) => ask(`${url}/v2/repository/models/same/${what}`, {})
    expect((await again('unload')).status).toBe(200)
    expect((await ask(`${url}/v2/models/same/infer`, ROW)).body).toMatchObject({ code: 'MODEL_UNLOADED' })
    expect((await again('load')).status).toBe(200)
    expect((await ask(`${url}/v2/models/same/infer`, ROW)).status).toBe(200)
    await writeFile(join(folder, 'same.onnx'), scalingModel(2))
    expect((await again('load')).body).toMatchObject({ code: 'MODEL_FILE_CHANGED' })
    expect((await ask(`${url}/v2/models/same/infer`, ROW)).body).toMatchObject({ outputs: [{ data: [1, 2] }] })
  })

  it('are answered over gRPC, too, where a port for it is configured', async ({ onTestFinished }) => {
    const { url, grpcUrl } = await serving({ same }, onTestFinished, { grpc: { port: 0 } })
    const answer = await callGrpc(grpcUrl!, 'ModelInfer', inferMessage('same', [1, 2]))
    expect(Buffer.from(answer as Buffer).includes(Buffer.from(Float32Array.of(1, 2).buffer))).toBe(true)
    expect(await callGrpc(grpcUrl!, 'ModelInfer', inferMessage('none', [1, 2]))).toMatchObject({
      code: grpcStatus.NOT_FOUND,
    })
    // Both are counted as one.
    const { text } = await ask(`${url}/metrics`)
    expect(text).toMatch(/^nv_inference_request_success\{.*model="same".*\} 1$/m)
  })

  it('listen nowhere when one of their doors cannot be opened', async ({ onTestFinished }) => {
    const taken = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port: httpPort } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    const refused = serving({ same }, onTestFinished, { http: { port: httpPort }, grpc: { port } })
    await expect(refused).rejects.toMatchObject({ code: 'GRPC_LISTEN_FAILED' })
    await expect(fetch(`http://127.0.0.1:${httpPort}/v2`)).rejects.toThrow('fetch failed')
  })

  it('tell a collector of their requests, where one is configured', async ({ onTestFinished }) => {
    const paths: (string | undefined)[] = []
    const collector = createServer((incoming, outgoing) => {
      paths.push(incoming.url)
      incoming.resume().on('end', () => outgoing.end())
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void collector.close())
    await once(collector, 'listening')
    const { port } = collector.address() as AddressInfo
    const served = await serving({ same }, onTestFinished, { traces: { url: `http://127.0.0.1:${port}` } })
    expect((await ask(`${served.url}/v2/models/same/infer`, ROW)).status).toBe(200)
    // What was not sent yet is sent before it has stopped.
    await served.stop()
    expect(paths).toEqual(['/v1/traces'])
  })

  it('take bodies and messages as large as the configuration says', async ({ onTestFinished }) => {
    const http = { limits: { maxInferBodyBytes: 100 } }
    const { url, grpcUrl } = await serving({ same }, onTestFinished, { http, grpc: { port: 0 } })
    expect((await ask(`${url}/v2/models/same/infer`, ROW)).status).toBe(200)
    const more = { ...ROW, id: 'x'.repeat(100) }
    expect((await ask(`${url}/v2/models/same/infer`, more)).body).toMatchObject({ code: 'TOO_LARGE' })
    const taken = (row: number) =>
      callGrpc(
        grpcUrl!,
        'ModelInfer',
        inferMessage(
          'same',
          Array.from({ length: row }, () => 1),
        ),
      )
    expect(await taken(2)).toBeInstanceOf(Uint8Array)
    expect(await taken(25)).toMatchObject({ code: grpcStatus.RESOURCE_EXHAUSTED })
  })

  it('say which routes need what is not here', async ({ onTestFinished }) => {
    const { url } = await serving({ same }, onTestFinished)
    for (const path of ['/v1/devices', '/v1/jobs', '/v1/models/same/traffic', '/v1/models/same/versions/1', '/v1/keys'])
      expect((await ask(url + path)).body, path).toMatchObject({
        error: { code: 'ROLE_NOT_HERE', message: expect.stringMatching(/serves files alone.*`tideway up`/) },
      })
    const client = createClient({ url })
    await expect(client.version('same', 1)).rejects.toThrow(
      /serves files alone .*without the store of what was registered\..*`tideway up`/,
    )
    await expect(client.putBlob(new Uint8Array(1))).rejects.toThrow(/serves files alone/)
  })

  it('may have tensors in files beside them', async ({ onTestFinished }) => {
    const folder = await temporaryFolder(onTestFinished)
    await writeFile(join(folder, 'w.data'), new Uint8Array(Float32Array.of(3).buffer))
    await writeFile(join(folder, 'scaled.onnx'), scalingModel({ location: 'w.data' }))
    const files = [{ model: 'scaled', file: join(folder, 'scaled.onnx') }]
    const served = await serveFiles(files, resolveConfig({ http: { port: 0 } }), silentLogger)
    onTestFinished(() => served.stop())
    const { body } = await ask(`${served.url}/v2/models/scaled/infer`, ROW)
    expect(body).toMatchObject({ outputs: [{ data: [3, 6] }] })
  })
})

describe('files that cannot be served', () => {
  it('are all named when they are no models, and nothing listens', async ({ onTestFinished }) => {
    const refused = serving({ same, text: 'no model', location: 'its location is nowhere' }, onTestFinished)
    await expect(refused).rejects.toMatchObject({
      code: 'SERVE_ORDER_INVALID',
      data: { issues: [expect.stringContaining('location.onnx')] },
    })
    const loaded = serving({ same, text: 'no model', other: 'none either' }, onTestFinished)
    await expect(loaded).rejects.toMatchObject({
      code: 'MODEL_NOT_SERVED',
      data: { failures: [expect.stringContaining('text.onnx'), expect.stringContaining('other.onnx')] },
      // A library's sentence, which has its stop.
      message: expect.not.stringContaining('..'),
    })
    // What it would say is in the message.
    await expect(loaded).rejects.not.toHaveProperty('cause')
  })

  it('are those whose tensors are not beside them', async ({ onTestFinished }) => {
    const lacking = serving({ scaled: scalingModel({ location: 'w.data' }) }, onTestFinished)
    await expect(lacking).rejects.toThrow(/scaled\.onnx: .*w\.data.*Keep the data files beside the model/)
  })

  it('are two that hold the same', async ({ onTestFinished }) => {
    await expect(serving({ same, again: same }, onTestFinished)).rejects.toMatchObject({
      code: 'SERVE_ORDER_INVALID',
      data: { issues: [expect.stringMatching(/again\.onnx: .* served as same$/)] },
    })
  })
})

describe('who may ask a process that serves files', () => {
  const key = '0123456789abcdef'

  it('is everybody on loopback, and nobody beyond it without credentials', async ({ onTestFinished }) => {
    await expect(serving({ same }, onTestFinished, { http: { host: '0.0.0.0' } })).rejects.toMatchObject({
      code: 'CREDENTIALS_REQUIRED',
    })
  })

  it('is nobody without credentials where one of its doors alone is open to others', async ({ onTestFinished }) => {
    const grpc = { host: '0.0.0.0', port: 0 }
    await expect(serving({ same }, onTestFinished, { grpc })).rejects.toMatchObject({ code: 'CREDENTIALS_REQUIRED' })
    const served = await serving({ same }, onTestFinished, { grpc, http: { apiKeys: [key] } })
    const at = served.grpcUrl!.replace('0.0.0.0', '127.0.0.1')
    const message = inferMessage('same', [1, 2])
    expect(await callGrpc(at, 'ModelInfer', message)).toMatchObject({ code: grpcStatus.UNAUTHENTICATED })
    const headers = { authorization: `Bearer ${key}` }
    expect(await callGrpc(at, 'ModelInfer', message, headers)).toBeInstanceOf(Uint8Array)
    expect((await ask(`${served.url}/v2/models/same/infer`, ROW)).status).toBe(401)
  })

  it('is who has a key of the configuration, with its role', async ({ onTestFinished }) => {
    const http = { host: '0.0.0.0', apiKeys: [{ key, name: 'reader', roles: ['viewer'] as const }] }
    const { url } = await serving({ same }, onTestFinished, { http })
    const at = url.replace('0.0.0.0', '127.0.0.1')
    const bearer = { authorization: `Bearer ${key}` }
    const refused = await ask(`${at}/v2/models/same/infer`, ROW)
    expect(refused).toMatchObject({ status: 401, body: { error: expect.stringContaining('TIDEWAY_API_KEY') } })
    expect((await ask(`${at}/v2/models/same/infer`, ROW, bearer)).status).toBe(200)
    expect((await ask(`${at}/v2/repository/models/same/unload`, {}, bearer)).status).toBe(403)
    expect((await ask(`${at}/v2/health/ready`)).status).toBe(200)
  })
})
