import { fileURLToPath } from 'node:url'
import { type RunningProcess, startNode } from '@tideway/test/support/process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from './contract.fixture.js'
import { openStore } from './store.js'

/** A process of its own, on what `tsc -b` built. */
const WRITER = fileURLToPath(new URL('./crash-writer.fixture.mjs', import.meta.url))

describe('a PGlite store whose process is killed', () => {
  let dir = ''
  let remove = async () => {}
  let writer: RunningProcess | undefined
  beforeEach(async () => {
    ;({ dir, remove } = await temporaryFolder())
  })
  afterEach(async () => {
    await writer?.kill('SIGKILL')
    await remove()
  })

  it('names the process that holds it, and after the kill has every acknowledged report, blob and chunk', async () => {
    const acknowledged = new Map<string, number>()
    const chunks: string[] = []
    for (const [round, reports] of [120, 7, 60].entries()) {
      const boot = `boot-${round}`
      writer = startNode(WRITER, [dir, boot])
      // Killed with more appends and chunks under way, in the middle of whatever it does then.
      await writer.waitForLine(new RegExp(`^acknowledged ${reports}$`), 120_000)
      await writer.waitForLine(/^chunk /, 120_000)
      if (round === 0) {
        await expect(openStore({ dir })).rejects.toMatchObject({ code: 'STORE_LOCKED', data: { dir, pid: writer.pid } })
      }
      await writer.kill('SIGKILL')
      const told = writer.lines.flatMap((line) => /^acknowledged (\d+)$/.exec(line)?.[1] ?? [])
      acknowledged.set(boot, Math.max(...told.map(Number)))
      chunks.push(...writer.lines.flatMap((line) => /^chunk ([0-9a-f]{64})$/.exec(line)?.[1] ?? []))
    }
    const store = await openStore({ dir })
    try {
      const stored = await store.reportStore.read({ device: 'writer', limit: 100_000 })
      for (const [boot, last] of acknowledged) {
        const seqs = new Set(
          stored.filter(({ envelope }) => envelope.boot === boot).map(({ envelope }) => envelope.seq),
        )
        const lost = Array.from({ length: last }, (_, i) => i + 1).filter((seq) => !seqs.has(seq))
        expect(lost, boot).toEqual([])
      }
      expect(chunks.length).toBeGreaterThanOrEqual(3)
      for (const sha256 of chunks) {
        expect((await store.chunkStore.get(sha256)).byteLength).toBe(1000)
        expect((await store.chunkStore.blob(sha256))?.size).toBe(1000)
      }
    } finally {
      await store.close()
    }
  }, 300_000)
})
