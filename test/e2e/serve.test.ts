import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { startTideway, tideway } from '../support/command.js'
import { type OnFinished, temporaryFolder } from '../support/folder.js'
import { START_MS } from '../support/loop.js'
import { scalingModel } from '../support/onnx-models.js'

const ROW = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] })

interface Ready {
  readonly pid: number
  readonly url: string
  readonly models: readonly { readonly model: string; readonly sha256: string }[]
}

async function modelFile(folder: string, name: string, factor: number): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, scalingModel(factor))
  return file
}

/** `tideway serve` of two files, ready. */
async function serve(onFinished: OnFinished, args: readonly string[] = [], env: Record<string, string> = {}) {
  const folder = await temporaryFolder(onFinished)
  const files = [await modelFile(folder, 'double.onnx', 2), `triple=${await modelFile(folder, 'Net 3.onnx', 3)}`]
  const running = startTideway(['serve', ...files, '--port', '0', '--json', ...args], { cwd: folder, env })
  onFinished(() => running.kill('SIGKILL'))
  const ready = JSON.parse(await running.waitForLine(/^\{"ready":true/, START_MS)) as Ready
  return { running, ...ready }
}

async function infer(url: string, model: string): Promise<unknown> {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: ROW }
  return (await fetch(`${url}/v2/models/${model}/infer`, post)).json()
}

describe('tideway serve', () => {
  it('answers for every file as soon as it says that it is ready, and leaves nothing behind', async ({
    onTestFinished,
  }) => {
    const config = join(await temporaryFolder(onTestFinished), 'patient.config.mjs')
    // Longer than the test: nothing is in flight in the end, so neither the connection that is kept nor any timer is waited for.
    await writeFile(
      config,
      'export default { http: { limits: { stopGraceMs: 600_000, keepAliveTimeoutMs: 600_000 } } }',
    )
    const { url, models, pid, running } = await serve(onTestFinished, ['--config', config])
    expect(pid).toBe(running.pid)
    expect(await infer(url, 'double')).toMatchObject({ model_version: '1', outputs: [{ data: [2, 4] }] })
    expect(await infer(url, 'triple')).toMatchObject({ outputs: [{ data: [3, 6] }] })
    expect(models.map(({ model }) => model)).toEqual(['double', 'triple'])
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200)
    const metrics = await (await fetch(`${url}/metrics`)).text()
    expect(metrics).toMatch(/nv_inference_request_success\{.*model="triple".*\} 1\b/)
    await running.kill('SIGINT')
    expect(await running.exited).toBe(0)
  })

  it('finishes what it took when it is told to stop', async ({ onTestFinished }) => {
    const { url, running } = await serve(onTestFinished)
    const headers = { 'content-type': 'application/json', 'content-length': ROW.length, expect: '100-continue' }
    const asked = request(`${url}/v2/models/double/infer`, { method: 'POST', headers })
    asked.flushHeaders()
    // From here on the server has the request, and waits for its body.
    await once(asked, 'continue')
    process.kill(running.pid, 'SIGTERM')
    await running.waitForLine(/"msg":"stopping"/)
    await expect(fetch(`${url}/v2/health/live`)).rejects.toThrow('fetch failed')
    asked.end(ROW)
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect([response.statusCode, JSON.parse(await text(response))]).toMatchObject([
      200,
      { outputs: [{ data: [2, 4] }] },
    ])
    expect(await running.exited).toBe(0)
  })

  it('takes limits from a configuration, and says that it takes no plugins', async ({ onTestFinished }) => {
    const config = join(await temporaryFolder(onTestFinished), 'tideway.config.mjs')
    const http = { limits: { maxInferBodyBytes: ROW.length - 1 } }
    await writeFile(config, `export default ${JSON.stringify({ http, plugins: [{ plugin: { name: 'mine' } }] })}`)
    const { url, running } = await serve(onTestFinished, ['--config', config])
    expect(JSON.parse(await running.waitForLine(/"msg":"plugins /))).toMatchObject({ level: 'warn', plugins: ['mine'] })
    expect(await infer(url, 'double')).toMatchObject({ code: 'TOO_LARGE' })
  })

  it('names everything that is wrong before it listens', async ({ onTestFinished }) => {
    const folder = await temporaryFolder(onTestFinished)
    const file = await modelFile(folder, 'm.onnx', 1)
    const { code, json } = await tideway(['serve', file, 'gone.onnx', '--port', 'x', '--json'], { cwd: folder })
    expect(code).toBe(1)
    expect(json).toMatchObject({
      error: {
        code: 'SERVE_ORDER_INVALID',
        data: { issues: [expect.stringMatching(/^gone\.onnx/), expect.stringMatching(/^--port x/)] },
      },
    })
    await writeFile(join(folder, 'text.onnx'), 'no model')
    expect(await tideway(['serve', 'text.onnx', '--port', '0', '--json'], { cwd: folder })).toMatchObject({
      code: 1,
      json: { error: { code: 'MODEL_NOT_SERVED' } },
    })
    expect(await tideway(['serve'], { cwd: folder })).toMatchObject({
      code: 1,
      output: expect.stringContaining('missing required argument'),
    })
  })

  it('takes keys of a configuration and of the environment for an address that others reach', async ({
    onTestFinished,
  }) => {
    const folder = await temporaryFolder(onTestFinished)
    const key = '0123456789abcdef'
    const config = join(folder, 'serve.config.mjs')
    await writeFile(
      config,
      `export default { http: { host: '0.0.0.0', apiKeys: ['${key}'] }, serving: { cache: {} }, logs: { requests: 'all' } }`,
    )
    const first = 'fedcba9876543210'
    const { url, running } = await serve(onTestFinished, ['--config', config], { TIDEWAY_ADMIN_KEY: first })
    const at = `${url.replace('0.0.0.0', '127.0.0.1')}/v2/models/double`
    expect((await fetch(at)).status).toBe(401)
    for (const known of [key, first])
      expect((await fetch(at, { headers: { authorization: `Bearer ${known}` } })).status).toBe(200)
    await running.waitForLine(/"status":401/)
  })
})
