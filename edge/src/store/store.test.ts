import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { MapCloud, sha256, startEdge, temporary } from '../edge.fixture.js'
import { createChunkFiles } from './chunks.js'
import { writeDurably } from './files.js'
import { layoutOf } from './layout.js'
import { lockFolder } from './lock.js'
import { createPointers } from './pointers.js'

const bytesOf = (text: string) => new TextEncoder().encode(text)

describe('a durable write', () => {
  it('replaces a file whole and leaves nothing else behind', async () => {
    const dir = await temporary()
    const path = join(dir, 'a', 'b', 'file')
    await Promise.all(['one', 'two', 'three'].map((text) => writeDurably(join(dir, 'tmp'), path, text)))
    expect(['one', 'two', 'three']).toContain(await readFile(path, 'utf8'))
    expect(await readdir(join(dir, 'tmp'))).toEqual([])
  })
})

describe('chunk files', () => {
  it('keep only bytes of the right digest and never give out others', async () => {
    const layout = layoutOf(await temporary())
    const chunks = createChunkFiles(layout)
    const name = sha256(bytesOf('tide'))
    await expect(chunks.put(name, bytesOf('ebb'))).rejects.toMatchObject({ code: 'CHUNK_DIGEST_MISMATCH' })
    expect(await chunks.has(name)).toBe(false)
    await chunks.put(name, bytesOf('tide'))
    expect(await chunks.has(name, 4)).toBe(true)
    expect(await chunks.has(name, 5)).toBe(false)
    expect(Buffer.from(await chunks.get(name)).toString()).toBe('tide')
    await writeFile(layout.chunk(name), 'tidE')
    await expect(chunks.get(name)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
    expect(await chunks.has(name)).toBe(false)
  })

  it('tell an altered chunk from a manifest that is wrong', async () => {
    const layout = layoutOf(await temporary())
    const chunks = createChunkFiles(layout)
    const parts = ['one', 'two'].map(bytesOf)
    const refs = parts.map((part) => ({ sha256: sha256(part), size: part.byteLength }))
    for (const part of parts) await chunks.put(sha256(part), part)
    const blob = { sha256: sha256(bytesOf('onetwo')), size: 6, chunks: refs }
    expect(Buffer.from(await chunks.assemble(blob)).toString()).toBe('onetwo')
    await expect(chunks.assemble({ ...blob, sha256: sha256(bytesOf('twoone')) })).rejects.toMatchObject({
      code: 'MODEL_DIGEST_MISMATCH',
    })
    await writeFile(layout.chunk(refs[1]?.sha256 ?? ''), 'a longer text than it was')
    await expect(chunks.assemble(blob)).rejects.toMatchObject({ code: 'EDGE_STORE_CORRUPT', data: { chunks: 1 } })
    expect(await chunks.has(refs[0]?.sha256 ?? '')).toBe(true)
    await expect(chunks.assemble(blob)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
  })
})

describe('pointers', () => {
  it('come back as written, and those that make no sense are left out', async () => {
    const layout = layoutOf(await temporary())
    const pointers = createPointers(layout, silentLogger)
    const installed = { version: 1, manifestDigest: 'a'.repeat(64), variant: 'int8' }
    const good = { model: 'm', generation: 3, active: installed, previous: { ...installed, version: 2 } }
    await pointers.write(good)
    for (const [name, text] of Object.entries({ n: '[]', o: '{"generation":1}', 'No Name': '{}', p: '' })) {
      await writeFile(join(layout.models, `${name}.json`), text)
    }
    expect(await pointers.read()).toEqual([good])
    await pointers.remove('m')
    expect(await pointers.read()).toEqual([])
  })
})

describe('a device folder', () => {
  it('is refused to another device with EDGE_DIR_OTHER_DEVICE', async () => {
    const dir = await temporary()
    await (await startEdge(new MapCloud(), dir)).close()
    const other = startEdge(new MapCloud(), dir, { device: 'd2' })
    await expect(other).rejects.toMatchObject({ code: 'EDGE_DIR_OTHER_DEVICE', data: { owner: 'f1/d1' } })
    await (await startEdge(new MapCloud(), dir)).close()
  })

  it('is refused with EDGE_DIR_LOCKED while another agent has it, in this process or another', async () => {
    const dir = await temporary()
    const edge = await startEdge(new MapCloud(), dir)
    const second = startEdge(new MapCloud(), dir)
    await expect(second).rejects.toMatchObject({ code: 'EDGE_DIR_LOCKED', data: { pid: process.pid } })
    await edge.close()
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    try {
      // Where the system does not tell when a process started, its pid alone counts.
      const lock = (content: object) => writeFile(join(dir, 'lock', '100'), JSON.stringify(content))
      await lock({ pid: other.pid })
      await expect(startEdge(new MapCloud(), dir)).rejects.toMatchObject({ data: { pid: other.pid } })
      // The same pid, but a process that started at another time: not the one that took the lock.
      await lock({ pid: other.pid, started: 'before:1' })
      if (process.platform === 'linux') await (await startEdge(new MapCloud(), dir)).close()
      await writeFile(join(dir, 'lock', '200'), JSON.stringify({ pid: other.pid }))
    } finally {
      other.kill('SIGKILL')
      await once(other, 'exit')
    }
    await (await startEdge(new MapCloud(), dir)).close()
  })

  it('goes to exactly one of several agents that take over a stale lock at once', async () => {
    const layout = layoutOf(await temporary())
    await mkdir(layout.lock)
    await writeFile(join(layout.lock, '7'), 'damaged')
    for (let round = 0; round < 10; round++) {
      const taken = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(layout)))
      const winners = taken.filter((result) => result.status === 'fulfilled')
      expect(winners).toHaveLength(1)
      await winners[0]?.value()
    }
    expect(await readdir(layout.lock)).toEqual(['17'])
  })
})
