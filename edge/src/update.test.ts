import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  MapCloud,
  quick,
  row,
  scalingRuntime,
  sha256,
  startEdge,
  temporary,
  until,
  untilActive,
} from './edge.fixture.js'

const y = (...values: number[]) => ({ y: { dtype: 'float32', shape: [1, 2], data: Float32Array.from(values) } })

describe('an update', () => {
  it('is fetched, verified, tried with known answers, activated and reported', async () => {
    const cloud = new MapCloud()
    const v1 = cloud.publish({ factor: 2 })
    const edge = await startEdge(cloud, await temporary())
    await expect(edge.model('m').infer(row(1, 2))).rejects.toMatchObject({ code: 'MODEL_NOT_ACTIVE' })
    await expect(edge.infer(row(1, 2))).rejects.toMatchObject({ code: 'MODEL_AMBIGUOUS' })
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)

    expect(await edge.infer(row(1, 2))).toEqual(y(2, 4))
    expect(await edge.model('m').infer(row(3, 5))).toEqual(y(6, 10))
    await edge.flush()
    const total = [...new Set(cloud.fetched)].reduce((sum, name) => sum + (cloud.chunks.get(name)?.byteLength ?? 0), 0)
    expect(edge.status().models.m).toMatchObject({
      status: 'active',
      generation: 1,
      version: 1,
      variant: 'fp32',
      inferences: 2,
      errors: 0,
      bytesFetched: total,
    })
    expect(cloud.reported?.models.m).toMatchObject({ status: 'active', version: 1, manifestDigest: v1 })
    const phases = cloud.kinds('state').map(({ body }) => {
      const { m } = (body as { models: Record<string, { status: string }> }).models
      return m?.status
    })
    expect(phases).toEqual([undefined, 'fetching', 'verifying', 'active'])
    const [profile] = cloud.kinds('profile')
    expect(profile).toMatchObject({ model: 'm', manifestDigest: v1, body: { rows: 2, errors: 0 } })
  })

  it('fetches only the chunks that differ, and none on the way back', async () => {
    const cloud = new MapCloud()
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3 })]
    const edge = await startEdge(cloud, await temporary())
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    cloud.fetched = []
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await untilActive(edge, v2)
    // The manifest, the known answers, and the last chunk, which holds the factor.
    expect(cloud.fetched).toHaveLength(3)
    cloud.fetched = []
    cloud.deploy(3, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    expect(cloud.fetched).toEqual([])
    expect(await edge.infer(row(1, 1))).toEqual(y(2, 2))
    expect(edge.status()).toMatchObject({ generation: 3, models: { m: { version: 1, bytesFetched: 0 } } })
  })

  it('ignores a lower generation, also after a restart, and an order that has expired', async () => {
    const cloud = new MapCloud()
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3 })]
    const dir = await temporary()
    const edge = await startEdge(cloud, dir)
    cloud.deploy(7, { m: { version: 2, manifestDigest: v2 } })
    await untilActive(edge, v2)
    cloud.deploy(6, { m: { version: 1, manifestDigest: v1 } })
    cloud.deploy(8, { m: { version: 1, manifestDigest: v1 } }, '2020-01-01T00:00:00Z')
    await edge.close()
    const again = await startEdge(cloud, dir)
    cloud.deploy(6, { m: { version: 1, manifestDigest: v1 } })
    cloud.deploy(7, { m: { version: 2, manifestDigest: v2 } })
    await untilActive(again, v2)
    expect(again.status().generation).toBe(7)
    expect(cloud.fetched).not.toContain(v1)
  })

  it('lets the newest desired state win over a download that has not ended', async () => {
    const cloud = new MapCloud()
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3 })]
    const lastOf1 = [...cloud.chunks.keys()].at(1)
    const edge = await startEdge(cloud, await temporary())
    let aborted = 0
    cloud.intercept = (digest, bytes, signal) => {
      if (cloud.desired?.generation !== 1 || digest !== lastOf1) return bytes
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          aborted += 1
          reject(signal.reason as Error)
        })
      })
    }
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await until(() => lastOf1 !== undefined && cloud.fetched.includes(lastOf1))
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await untilActive(edge, v2)
    expect(aborted).toBe(1)
    expect(edge.status().models.m).toMatchObject({ version: 2, generation: 2 })
  })

  it('never fails a request while versions are switched, and disposes of every old session', async () => {
    const cloud = new MapCloud()
    const runtime = scalingRuntime()
    const versions = [cloud.publish({ factor: 2, padding: 8 }), cloud.publish({ factor: 3, padding: 8 })]
    const edge = await startEdge(cloud, await temporary(), { runtime })
    const first = versions[0] as string
    cloud.deploy(1, { m: { version: 1, manifestDigest: first } })
    await untilActive(edge, first)
    let asking = true
    let answered = 0
    const ask = async () => {
      while (asking) {
        const { y: out } = await edge.infer(row(1, 1))
        expect([2, 3]).toContain(out?.data[0])
        answered += 1
        await new Promise(setImmediate)
      }
    }
    const askers = Promise.all(Array.from({ length: 8 }, ask))
    for (let generation = 2; generation <= 40; generation++) {
      const digest = versions[(generation + 1) % 2] as string
      cloud.deploy(generation, { m: { version: 1, manifestDigest: digest } })
      await until(
        () => edge.status().models.m?.generation === generation && edge.status().models.m?.status === 'active',
      )
    }
    asking = false
    await askers
    expect(answered).toBeGreaterThan(100)
    expect(edge.status().models.m).toMatchObject({ errors: 0, inferences: answered, generation: 40 })
    await until(() => runtime.open.size === 1, 'the old sessions to be disposed of')
    const profiled = () => cloud.kinds('profile').reduce((sum, { body }) => sum + Number(body.rows), 0)
    await edge.flush()
    await until(() => profiled() === answered, 'every row to be in exactly one window')
  })

  it('keeps what it knows of several models apart, and drops one that is no longer wanted', async () => {
    const cloud = new MapCloud()
    const [a, b] = [cloud.publish({ factor: 2, model: 'a' }), cloud.publish({ factor: 5, model: 'b' })]
    const edge = await startEdge(cloud, await temporary())
    cloud.deploy(1, { a: { version: 1, manifestDigest: a }, b: { version: 1, manifestDigest: b } })
    await Promise.all([untilActive(edge, a, 'a'), untilActive(edge, b, 'b')])
    await expect(edge.infer(row(1, 1))).rejects.toMatchObject({ code: 'MODEL_AMBIGUOUS', data: { models: ['a', 'b'] } })
    expect(await edge.model('b').infer(row(1, 1))).toEqual(y(5, 5))
    cloud.deploy(2, { b: { version: 1, manifestDigest: b } })
    await until(() => edge.status().models.a === undefined && edge.status().models.b?.generation === 2)
    expect(await edge.infer(row(1, 1))).toEqual(y(5, 5))
    await expect(edge.model('a').infer(row(1, 1))).rejects.toMatchObject({ code: 'MODEL_NOT_ACTIVE' })
  })

  it('removes chunks that neither the active nor the previous version needs', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const edge = await startEdge(cloud, dir)
    for (const generation of [1, 2, 3]) {
      const digest = cloud.publish({ factor: generation, padding: 8 })
      cloud.deploy(generation, { m: { version: generation, manifestDigest: digest } })
      await untilActive(edge, digest)
    }
    // Manifest, model and known answers of two versions.
    const files = async () => (await readdir(join(dir, 'chunks'), { recursive: true })).filter((f) => f.length > 60)
    await expect.poll(files).toHaveLength(6)
  })
})

describe('an update that cannot be', () => {
  const onV1 = async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const v1 = cloud.publish({ factor: 2 })
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    return { cloud, dir, edge, v1 }
  }
  const untilFailed = async (cloud: MapCloud, code: string) =>
    await until(() => cloud.reported?.models.m?.error?.code === code, code)

  it('refuses an altered chunk with CHUNK_DIGEST_MISMATCH, stays on the old version, and recovers', async () => {
    const { cloud, dir, edge, v1 } = await onV1()
    const v2 = cloud.publish({ factor: 3 })
    const target = [...cloud.chunks].at(-3)?.[0] as string
    cloud.intercept = (digest, bytes) =>
      digest === target ? bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) : bytes
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await untilFailed(cloud, 'CHUNK_DIGEST_MISMATCH')
    expect(await edge.infer(row(1, 1))).toEqual(y(2, 2))
    expect(cloud.reported?.models.m).toMatchObject({
      status: 'failed',
      manifestDigest: v1,
      error: { manifestDigest: v2 },
    })
    expect((await readdir(join(dir, 'chunks'), { recursive: true })).some((file) => file.endsWith(target))).toBe(false)
    cloud.intercept = (_, bytes) => bytes
    await untilActive(edge, v2)
    await edge.flush()
    expect(cloud.kinds('event').map(({ body }) => body.code)).toEqual(['CHUNK_DIGEST_MISMATCH'])
  })

  it('does not activate a version whose known answers do not come out, and tries it only once', async () => {
    const { cloud, edge, v1 } = await onV1()
    const v2 = cloud.publish({ factor: 3, answeredFactor: 3.1 })
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await untilFailed(cloud, 'KNOWN_ANSWERS_MISMATCH')
    cloud.setOnline(true)
    await edge.flush()
    expect(await edge.infer(row(1, 1))).toEqual(y(2, 2))
    expect(edge.status().models.m).toMatchObject({ status: 'failed', manifestDigest: v1, generation: 2 })
    expect(cloud.kinds('event')).toHaveLength(1)
    cloud.deploy(3, { m: { version: 1, manifestDigest: v1 } })
    await until(() => edge.status().models.m?.status === 'active')
    expect(edge.status().models.m?.error).toBeUndefined()
  })

  it('names what keeps each version from running here', async () => {
    const { cloud, edge } = await onV1()
    const wrong: Record<string, string> = {
      VARIANT_UNSUPPORTED: cloud.publish({ factor: 3, extra: { variants: [] } as never }),
      MANIFEST_OTHER_MODEL: cloud.publish({ factor: 3, model: 'other' }),
      CHUNK_NOT_FOUND: 'f'.repeat(64),
    }
    // A variant list may not be empty: take the second's bytes and change what it needs.
    const manifest = JSON.parse(new TextDecoder().decode(cloud.chunks.get(cloud.publish({ factor: 4 })))) as {
      variants: { requires: string[] }[]
    }
    manifest.variants[0]?.requires.push('provider:webgpu')
    const bytes = new TextEncoder().encode(JSON.stringify(manifest))
    cloud.chunks.set(sha256(bytes), bytes)
    wrong.VARIANT_UNSUPPORTED = sha256(bytes)
    let generation = 1
    for (const [code, manifestDigest] of Object.entries(wrong)) {
      cloud.deploy(++generation, { m: { version: 9, manifestDigest } })
      await untilFailed(cloud, code)
      expect(await edge.infer(row(1, 1))).toEqual(y(2, 2))
    }
  })

  it('refuses, before fetching it, a model that is larger than the device allows', async () => {
    const cloud = new MapCloud()
    const v1 = cloud.publish({ factor: 2 })
    await startEdge(cloud, await temporary(), { limits: { ...quick, maxModelBytes: 10_000 } })
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilFailed(cloud, 'TOO_LARGE')
    expect(cloud.fetched).toEqual([v1])
  })
})
