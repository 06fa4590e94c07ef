import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MapCloud, quick, row, startEdge, temporary, until, untilActive } from './edge.fixture.js'

const y = (...values: number[]) => ({ y: { dtype: 'float32', shape: [1, 2], data: Float32Array.from(values) } })

describe('after a restart', () => {
  it('goes on with a download where it was: no chunk is fetched twice', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const v1 = cloud.publish({ factor: 2, padding: 400_000 })
    // It asks for nothing again, as the dead process that it stands for.
    const first = await startEdge(cloud, dir, { limits: { ...quick, minChunkTimeoutMs: 600_000 } })
    cloud.intercept = (_, bytes) => (cloud.fetched.length > 10 ? new Promise(() => undefined) : bytes)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await until(() => cloud.fetched.length > 10)
    const files = async () => (await readdir(join(dir, 'chunks'), { recursive: true })).filter((f) => f.length > 60)
    await expect.poll(files).toHaveLength(10)
    // What a kill leaves: nothing is closed; the lock is the dead process's.
    void first
    await rm(join(dir, 'lock'), { recursive: true })
    const arrived = new Set((await files()).map((file) => file.slice(-64)))
    cloud.fetched = []
    cloud.intercept = (_, bytes) => bytes
    const edge = await startEdge(cloud, dir)
    await untilActive(edge, v1)
    expect(cloud.fetched.filter((digest) => arrived.has(digest))).toEqual([])
    expect(cloud.fetched).toHaveLength(cloud.chunks.size - 10)
  })

  it('answers from disk without a network', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const v1 = cloud.publish({ factor: 2 })
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    await edge.close()
    cloud.setOnline(false)
    const again = await startEdge(cloud, dir)
    expect(again.status().models.m).toMatchObject({ status: 'active', version: 1, manifestDigest: v1, generation: 1 })
    expect(await again.infer(row(1, 1))).toEqual(y(2, 2))
  })

  it('takes the previous version when the active one was altered on disk, and repairs it', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3 })]
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    cloud.fetched = []
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await untilActive(edge, v2)
    await edge.close()
    const altered = cloud.fetched.find((digest) => (cloud.chunks.get(digest)?.byteLength ?? 0) > 5_000) as string
    const path = join(dir, 'chunks', altered.slice(0, 2), altered)
    const bytes = await readFile(path)
    bytes[9] = (bytes[9] ?? 0) ^ 1
    await writeFile(path, bytes)
    cloud.setOnline(false)
    cloud.fetched = []
    const again = await startEdge(cloud, dir)
    expect(await again.infer(row(1, 1))).toEqual(y(2, 2))
    expect(again.status().models.m).toMatchObject({
      status: 'failed',
      version: 1,
      error: { code: 'EDGE_STORE_CORRUPT', manifestDigest: v2 },
    })
    cloud.setOnline(true)
    await untilActive(again, v2)
    expect(cloud.fetched).toEqual([altered])
    expect(await again.infer(row(1, 1))).toEqual(y(3, 3))
  })

  it('reads a damaged pointer as none and activates again without fetching', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const v1 = cloud.publish({ factor: 2 })
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    await edge.close()
    await writeFile(join(dir, 'models', 'm.json'), '{"v":1,"generation":"x"')
    cloud.fetched = []
    await untilActive(await startEdge(cloud, dir), v1)
    expect(cloud.fetched).toEqual([])
  })
})
