import type { Envelope, ReportedState } from '@tideway/core'
import { openTestServices, putTestVersion, type TestServices } from '@tideway/test/support/cloud-services'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from './rig.fixture.js'

const AT = '2026-01-01T00:00:00.000Z'
let services: TestServices
let rig: Rig

beforeAll(async () => {
  services = await openTestServices()
  rig = await startRig(services)
})
afterAll(async () => {
  await rig?.stop()
  await services?.close()
})

/** Registers a version of the model and answers its number. */
async function register(model: string, marker: string, aliases?: string[]): Promise<number> {
  const { manifestDigest } = await putTestVersion(services, model, marker)
  const { body, status } = await rig.call('POST', `/v1/models/${model}/versions`, { manifestDigest, aliases })
  expect(status).toBe(200)
  return (body as { version: { version: number } }).version.version
}

describe('health and wire', () => {
  it('is live, ready, and says where devices connect', async () => {
    expect(await rig.call('GET', '/v1/health/live')).toMatchObject({ status: 200, body: { live: true } })
    expect(await rig.call('GET', '/v1/health/ready')).toMatchObject({ status: 200, body: { ready: true } })
    expect(await rig.call('GET', '/v1/wire')).toMatchObject({ status: 200, body: { ...services.wire } })
  })

  it('is not ready while the store fails, and stays live', async () => {
    const auditLog = { ...services.auditLog, list: () => Promise.reject(new Error('gone')) }
    const broken = await startRig({ ...services, auditLog })
    expect(await broken.call('GET', '/v1/health/ready')).toMatchObject({ status: 503, body: { ready: false } })
    expect(await broken.call('GET', '/v1/health/live')).toMatchObject({ status: 200 })
    await broken.stop()
  })
})

describe('models', () => {
  it('registers a manifest once, points aliases, and remembers where they pointed', async () => {
    const { manifestDigest, manifest } = await putTestVersion(services, 'digits', 'one')
    const order = { manifestDigest, runId: 'run-1', aliases: ['latest'] }
    const first = await rig.call('POST', '/v1/models/digits/versions', order)
    expect(first).toMatchObject({ status: 200, body: { created: true, version: { version: 1, runId: 'run-1' } } })
    const again = await rig.call('POST', '/v1/models/digits/versions', { manifestDigest, aliases: ['stable'] })
    expect(again).toMatchObject({ body: { created: false, version: { version: 1 } } })
    expect(await register('digits', 'two')).toBe(2)

    const moved = await rig.call('PUT', '/v1/models/digits/aliases/latest', { version: 2 })
    expect(moved).toMatchObject({ status: 200, body: { alias: 'latest', version: 2 } })
    const history = await rig.call('GET', '/v1/models/digits/aliases/latest/history')
    expect(history.body).toMatchObject({ history: [{ version: 1 }, { version: 2 }] })
    const details = await rig.call('GET', '/v1/models/digits')
    expect(details.body).toMatchObject({ model: { name: 'digits' }, versions: [{ version: 1 }, { version: 2 }] })
    expect((await rig.call('GET', '/v1/models')).body).toMatchObject({ models: [{ name: 'digits' }] })
    const stable = await rig.call('GET', '/v1/models/digits/versions/stable')
    expect(stable.body).toMatchObject({ version: { version: 1, manifestDigest }, manifest })
  })

  it('refuses a manifest that is missing, of another model, no manifest, or lacks a chunk', async () => {
    const post = (manifestDigest: string) => rig.call('POST', '/v1/models/digits/versions', { manifestDigest })
    expect(await post('a'.repeat(64))).toMatchObject({ status: 404, code: 'CHUNK_NOT_FOUND' })
    const other = await putTestVersion(services, 'other', 'x')
    expect(await post(other.manifestDigest)).toMatchObject({ status: 400, code: 'MANIFEST_MODEL_MISMATCH' })
    expect(await post(other.chunk)).toMatchObject({ status: 400, code: 'JSON_INVALID' })

    const { manifest } = await putTestVersion(services, 'digits', 'lacking')
    const baseline = { sha256: 'b'.repeat(64), size: 5, chunks: [{ sha256: 'c'.repeat(64), size: 5 }] }
    const lacking = await putManifest({ ...manifest, baseline })
    expect(await post(lacking)).toMatchObject({
      code: 'CHUNK_NOT_FOUND',
      body: { error: { data: { sha256: 'c'.repeat(64) } } },
    })
    const wrong = await post(await putManifest({ ...manifest, baseline: { ...baseline, size: 6 } }))
    expect(wrong).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(JSON.stringify(wrong.body)).toContain('baseline: its chunks do not add up')
  })

  it('answers what is not there with its code', async () => {
    expect(await rig.call('GET', '/v1/models/nothing')).toMatchObject({ status: 404, code: 'MODEL_NOT_FOUND' })
    const version = await rig.call('GET', '/v1/models/digits/versions/99')
    expect(version).toMatchObject({ status: 404, code: 'VERSION_NOT_FOUND' })
    const alias = await rig.call('PUT', '/v1/models/digits/aliases/latest', { version: 99 })
    expect(alias).toMatchObject({ status: 404, code: 'VERSION_NOT_FOUND' })
  })

  it('names every bad field of path, query and body at once', async () => {
    const body = { manifestDigest: 'short', aliases: ['7'] }
    const answer = await rig.call('POST', '/v1/models/No%20Such..%2F..%2Fetc/versions', body)
    expect(answer).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    const { issues } = (answer.body as { error: { data: { issues: string[] } } }).error.data
    expect(issues.map((issue) => issue.split(':')[0])).toEqual(['path model', 'body manifestDigest', 'body aliases.0'])
  })
})

async function putManifest(manifest: object): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(manifest))
  const sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')
  await services.chunkStore.put(sha256, bytes)
  return sha256
}

describe('devices', () => {
  const envelope = (seq: number, device = 'till-1'): Envelope => ({
    v: 1,
    kind: 'event',
    device,
    fleet: 'shop',
    boot: 'boot-1',
    seq,
    schema: 1,
    from: AT,
    to: AT,
    sentAt: AT,
    body: { note: 'hello' },
  })

  it('are told what to run once something was deployed to their fleet', async () => {
    await register('lights', 'one', ['latest'])
    const before = await rig.call('GET', '/v1/devices/till-1/desired?fleet=shop')
    expect(before).toMatchObject({ status: 404, code: 'DESIRED_NOT_SET' })
    const deployed = await rig.call('POST', '/v1/deployments', { model: 'lights', version: 'latest', fleet: 'shop' })
    expect(deployed).toMatchObject({ status: 201, body: { version: 1, desired: [{ generation: 1 }] } })
    const after = await rig.call('GET', '/v1/devices/till-1/desired')
    expect(after.body).toMatchObject({ v: 1, generation: 1, models: { lights: { version: 1 } } })

    const one = { model: 'lights', version: 1, fleet: 'shop', devices: ['till-2'] }
    expect(await rig.call('POST', '/v1/deployments', one)).toMatchObject({ body: { desired: [{ generation: 2 }] } })
    const second = await rig.call('GET', '/v1/devices/till-2/desired?fleet=shop')
    expect(second.body).toMatchObject({ generation: 2 })
  })

  it('are listed as seen, by fleet, with what they report', async () => {
    const reported: ReportedState = { v: 1, device: 'till-1', fleet: 'shop', generation: 1, models: {}, at: AT }
    expect(await rig.call('PUT', '/v1/devices/till-1/reported', reported)).toMatchObject({ status: 204 })
    expect((await rig.call('GET', '/v1/devices/till-1')).body).toMatchObject({ id: 'till-1', reported })
    const shop = (await rig.call('GET', '/v1/devices?fleet=shop')).body as { devices: { id: string }[] }
    expect(shop.devices.map(({ id }) => id).sort()).toEqual(['till-1', 'till-2'])
    expect((await rig.call('GET', '/v1/devices?fleet=none')).body).toEqual({ devices: [] })
    expect(await rig.call('GET', '/v1/devices/ghost')).toMatchObject({ status: 404, code: 'DEVICE_NOT_FOUND' })
    expect(await rig.call('GET', '/v1/devices/ghost/desired')).toMatchObject({ code: 'DEVICE_NOT_FOUND' })
    expect(await rig.call('GET', '/v1/devices?flet=shop')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
  })

  it('report once: a report sent twice is acknowledged and counted once', async () => {
    const send = (...seqs: number[]) =>
      rig.call('POST', '/v1/devices/till-1/reports', { reports: seqs.map((seq) => envelope(seq)) })
    const ack = { fleet: 'shop', device: 'till-1', ack: { v: 1, boot: 'boot-1', seq: 2 } }
    expect((await send(1, 2)).body).toEqual({ acks: [ack] })
    expect((await send(2, 4)).body).toEqual({ acks: [ack] })
    expect((await rig.call('GET', '/v1/reports/counts?device=till-1')).body).toEqual({ counts: { event: 3 } })
  })

  it('report under their own id only, in envelopes that are whole', async () => {
    const post = (reports: unknown) => rig.call('POST', '/v1/devices/till-1/reports', { reports })
    expect(await post([envelope(9, 'till-2')])).toMatchObject({ status: 400, code: 'DEVICE_PATH_MISMATCH' })
    expect(await post([])).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    const bad = await post([envelope(9), { ...envelope(10), v: 9, seq: -1 }])
    expect(JSON.stringify(bad.body)).toContain('body reports.1.v')
    expect(JSON.stringify(bad.body)).toContain('body reports.1.seq')
    const large = { ...envelope(11), body: { text: 'x'.repeat(300_000) } }
    expect(await post([large])).toMatchObject({ status: 413, code: 'TOO_LARGE' })
    const reported = { v: 1, device: 'till-2', fleet: 'shop', generation: 0, models: {}, at: AT }
    const put = await rig.call('PUT', '/v1/devices/till-1/reported', reported)
    expect(put).toMatchObject({ status: 400, code: 'DEVICE_PATH_MISMATCH' })
  })

  it('have drift verdicts by fleet', async () => {
    expect((await rig.call('GET', '/v1/drift?fleet=shop')).body).toMatchObject({ verdicts: [{ fleet: 'shop' }] })
    expect((await rig.call('GET', '/v1/drift?fleet=other')).body).toEqual({ verdicts: [] })
    expect(await rig.call('GET', '/v1/drift?digest=xyz')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
  })
})

describe('runs', () => {
  it('are created, changed and logged to', async () => {
    const run = { id: 'run-7', experiment: 'digits', name: 'seven', params: { lr: '0.1' } }
    const created = await rig.call('POST', '/v1/runs', run)
    expect(created).toMatchObject({ status: 201, body: { id: 'run-7', params: { lr: '0.1' } } })
    const points = [1, 2].map((step) => ({ key: 'val/loss', value: 1 / step, step, at: AT }))
    expect(await rig.call('POST', '/v1/runs/run-7/metrics', { points })).toMatchObject({ status: 204 })
    const history = await rig.call('GET', '/v1/runs/run-7/metrics/val%2Floss')
    expect(history.body).toMatchObject({ points: [{ value: 1 }, { value: 0.5 }] })
    const done = await rig.call('PATCH', '/v1/runs/run-7', { status: 'finished', tags: { by: 'test' } })
    expect(done.body).toMatchObject({ status: 'finished', metrics: { 'val/loss': 0.5 }, tags: { by: 'test' } })
    expect((await rig.call('GET', '/v1/runs/run-7')).body).toMatchObject({ experiment: 'digits' })
    const list = (await rig.call('GET', '/v1/runs?experiment=digits&limit=1')).body as { runs: unknown[] }
    expect(list.runs).toHaveLength(1)
  })

  it('refuse what is not a run', async () => {
    expect(await rig.call('GET', '/v1/runs/none')).toMatchObject({ status: 404, code: 'RUN_NOT_FOUND' })
    expect(await rig.call('PATCH', '/v1/runs/none', { status: 'done' })).toMatchObject({ code: 'INPUT_REJECTED' })
    expect(await rig.call('POST', '/v1/runs', { id: 'A B' })).toMatchObject({ code: 'INPUT_REJECTED' })
    expect(await rig.call('POST', '/v1/runs/none/metrics', { points: [{}] })).toMatchObject({ status: 400 })
    expect(await rig.call('GET', '/v1/runs?limit=0')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
  })
})

describe('jobs', () => {
  it('are submitted, changed and listed', async () => {
    const { status, body } = await rig.call('POST', '/v1/jobs', { model: 'digits', epochs: 3 })
    expect({ status, body }).toMatchObject({ status: 201, body: { status: 'queued', spec: { epochs: 3 } } })
    const { id } = body as { id: string }
    expect((await rig.call('PATCH', `/v1/jobs/${id}`, { status: 'running' })).body).toMatchObject({ status: 'running' })
    expect((await rig.call('GET', `/v1/jobs/${id}`)).body).toMatchObject({ id, status: 'running' })
    expect((await rig.call('GET', '/v1/jobs?limit=1')).body).toMatchObject({ jobs: [{ id }] })
    expect(await rig.call('PATCH', `/v1/jobs/${id}`, { status: 'lost' })).toMatchObject({ code: 'INPUT_REJECTED' })
    expect(await rig.call('POST', '/v1/jobs', [])).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(await rig.call('GET', '/v1/jobs/none/events')).toMatchObject({ status: 404, code: 'JOB_NOT_FOUND' })
  })

  it('are followed as server-sent events until they end', async () => {
    const { id } = (await rig.call('POST', '/v1/jobs', { model: 'digits' })).body as { id: string }
    const response = await fetch(`${rig.url}/v1/jobs/${id}/events`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response
      .body!.pipeThrough(new TextDecoderStream() as never)
      .getReader() as ReadableStreamDefaultReader<string>
    const first = await reader.read()
    expect(first.value).toContain('event: job')
    await rig.call('PATCH', `/v1/jobs/${id}`, { progress: { step: 1 } })
    await rig.call('PATCH', `/v1/jobs/${id}`, { status: 'finished' })
    let rest = ''
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value
    const statuses = [...rest.matchAll(/^data: (.*)$/gm)].map(
      ([, data]) => (JSON.parse(data!) as { status: string }).status,
    )
    expect(statuses).toEqual(['queued', 'finished'])
  })
})

describe('the audit log', () => {
  it('holds every change with who made it', async () => {
    const entries = async (action: string) =>
      ((await rig.call('GET', `/v1/audit?action=${action}&limit=1000`)).body as { entries: { actor: string }[] })
        .entries
    for (const action of ['version.register', 'alias.set', 'run.create', 'run.update', 'job.update']) {
      const found = await entries(action)
      expect(found.length, action).toBeGreaterThan(0)
      expect(new Set(found.map(({ actor }) => actor))).toEqual(new Set(['local']))
    }
    expect(await rig.call('GET', '/v1/audit?limit=5000')).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
  })
})
