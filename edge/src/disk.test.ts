import { execFileSync } from 'node:child_process'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MapCloud, row, startEdge, temporary, until, untilActive } from './edge.fixture.js'
import type { Edge } from './edge.js'

/** A small file system of its own, where this process may mount one. */
function mount(dir: string, kibibytes: number): (options: string) => void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', dir], { stdio: 'pipe' })
  onTestFinished(() => void execFileSync('umount', ['-l', dir]))
  return (options) => void execFileSync('mount', ['-o', options, dir], { stdio: 'pipe' })
}

function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!canMount())('a disk that cannot be written (not run where this process may not mount a tmpfs)', () => {
  const factorOf = async (edge: Edge) => {
    const { y } = await edge.infer(row(1, 1))
    return y?.data[0]
  }

  /** As soon as nothing is being written, which the kernel refuses before. */
  const becomeReadOnly = async (edge: Edge, dir: string, remount: (options: string) => void) => {
    await edge.flush()
    await until(() => edge.status().outbox.pending === 0)
    await expect.poll(() => readdir(join(dir, 'outbox'), { recursive: true })).toHaveLength(1)
    await expect.poll(() => remount('remount,ro')).toBeUndefined()
  }

  it('that is full: coded error, inference and reports go on, and the update follows when there is room', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const remount = mount(dir, 300)
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3, padding: 400_000 })]
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await until(() => cloud.reported?.models.m?.error?.code === 'EDGE_DISK_FULL', 'EDGE_DISK_FULL')
    expect(edge.status().models.m).toMatchObject({ status: 'failed', manifestDigest: v1 })
    expect(await factorOf(edge)).toBe(2)
    await edge.flush()
    await until(() => cloud.kinds('event').some(({ body }) => body.code === 'EDGE_DISK_FULL'))
    await until(() => cloud.kinds('profile').length === 1)
    remount('remount,size=4m')
    await untilActive(edge, v2)
    expect(await factorOf(edge)).toBe(3)
  })

  it('that is full at the start: what is active is loaded and answers', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    mount(dir, 300)
    const v1 = cloud.publish({ factor: 2 })
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    await edge.close()
    await writeFile(join(dir, 'filler'), new Uint8Array(1024 * 1024)).catch((error: { code: string }) =>
      expect(error.code).toBe('ENOSPC'),
    )
    const again = await startEdge(cloud, dir)
    expect(await factorOf(again)).toBe(2)
    await again.flush()
    await until(() => cloud.kinds('profile').some(({ boot }) => boot === again.status().boot))
  })

  it('that is read-only: coded error, inference and reports go on, also after a restart', async () => {
    const cloud = new MapCloud()
    const dir = await temporary()
    const remount = mount(dir, 2048)
    const [v1, v2] = [cloud.publish({ factor: 2 }), cloud.publish({ factor: 3 })]
    const edge = await startEdge(cloud, dir)
    cloud.deploy(1, { m: { version: 1, manifestDigest: v1 } })
    await untilActive(edge, v1)
    await becomeReadOnly(edge, dir, remount)
    cloud.deploy(2, { m: { version: 2, manifestDigest: v2 } })
    await until(() => cloud.reported?.models.m?.error?.code === 'EDGE_DISK_READ_ONLY', 'EDGE_DISK_READ_ONLY')
    expect(await factorOf(edge)).toBe(2)
    await edge.close()
    remount('remount,rw')
    // It could not give up its lock, and its process, which is this one, is alive.
    await rm(join(dir, 'lock'), { recursive: true })
    remount('remount,ro')
    const again = await startEdge(cloud, dir)
    expect(await factorOf(again)).toBe(2)
    await again.flush()
    await until(() => cloud.kinds('profile').some(({ boot }) => boot === again.status().boot))
    remount('remount,rw')
    await untilActive(again, v2)
    expect(await factorOf(again)).toBe(3)
  })
})
