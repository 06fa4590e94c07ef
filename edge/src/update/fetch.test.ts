import { errors as core, type EdgeLink } from '@tideway/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MapCloud } from '../edge.fixture.js'
import { defaultLimits } from '../options.js'
import { type FetchContext, fetchChunks, type Wanted } from './fetch.js'
import { createPace } from './pace.js'

/** A link of so many bytes a second, shared by everything in flight, on the test's clock. */
function slowLink(bytesPerSecond: number) {
  const asked: string[] = []
  let free = 0
  const link: EdgeLink = {
    ...new MapCloud().link(),
    fetchChunk: (sha256) => {
      asked.push(sha256)
      const size = Number(sha256.split('-')[1])
      free = Math.max(free, Date.now()) + (size / bytesPerSecond) * 1000
      return new Promise((resolve) => setTimeout(() => resolve(new Uint8Array(size)), free - Date.now()))
    },
  }
  return { link, asked }
}

const wanted = (count: number, size: number): Wanted[] =>
  Array.from({ length: count }, (_, i) => ({ sha256: `${i}-${size}`, size }))

function contextOf(link: EdgeLink, change: Partial<FetchContext> = {}) {
  const stored: string[] = []
  const pace = createPace(defaultLimits)
  const context: FetchContext = {
    link,
    limits: { ...defaultLimits, retryBaseMs: 1 },
    pace,
    signal: new AbortController().signal,
    put: async (sha256) => void stored.push(sha256),
    onBytes: () => undefined,
    ...change,
  }
  return { context, stored, pace }
}

describe('fetching', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([65_536, 131_072])('brings a 400 KB model in chunks of %i over 20 kB/s, no byte twice', async (size) => {
    const { link, asked } = slowLink(20_000)
    const { context, stored } = contextOf(link)
    const list = wanted(Math.ceil(400_000 / size), size)
    const done = fetchChunks(list, context)
    await vi.advanceTimersByTimeAsync(60_000)
    await done
    expect(stored).toEqual(list.map(({ sha256 }) => sha256))
    expect(asked).toEqual(stored)
  })

  it('takes more at a time where the link is fast, up to the limit', async () => {
    const { link } = slowLink(50_000_000)
    const { context, stored, pace } = contextOf(link)
    const done = fetchChunks(wanted(40, 65_536), context)
    await vi.advanceTimersByTimeAsync(5_000)
    await done
    expect(stored).toHaveLength(40)
    expect(pace.window).toBe(defaultLimits.maxConcurrentChunks)
  })

  it('survives a link that becomes a thousand times slower under way', async () => {
    const { link, asked } = slowLink(20_000_000)
    const { context, pace } = contextOf(link)
    const warm = fetchChunks(wanted(20, 65_536), context)
    await vi.advanceTimersByTimeAsync(5_000)
    await warm
    expect(pace.window).toBe(8)
    const slow = slowLink(20_000)
    const done = fetchChunks(wanted(20, 65_536), { ...context, link: slow.link })
    await vi.advanceTimersByTimeAsync(200_000)
    await done
    expect(asked).toHaveLength(20)
    expect(slow.asked).toHaveLength(20)
    expect(pace.window).toBe(1)
  })

  it('gives up on an attempt that takes too long, even when the link forgets to, and tries again', async () => {
    let calls = 0
    const link: EdgeLink = {
      ...new MapCloud().link(),
      fetchChunk: () => (++calls === 1 ? new Promise(() => undefined) : Promise.resolve(new Uint8Array(5))),
    }
    const { context, stored } = contextOf(link)
    vi.useRealTimers()
    const pace = { ...context.pace, window: 1, timeoutMs: () => 20 }
    await fetchChunks(wanted(1, 5), { ...context, pace })
    expect([calls, stored.length]).toEqual([2, 1])
  })
})

describe('fetching that fails', () => {
  const failing = (error: unknown) => {
    let calls = 0
    const link: EdgeLink = {
      ...new MapCloud().link(),
      fetchChunk: () => {
        calls += 1
        return Promise.reject(error as Error)
      },
    }
    return { link, calls: () => calls }
  }

  it('says CHUNK_FETCH_FAILED with the cause after the last attempt', async () => {
    const cause = core.LINK_UNAVAILABLE({ url: 'x' })
    const { link, calls } = failing(cause)
    const { context } = contextOf(link)
    await expect(fetchChunks(wanted(1, 5), context)).rejects.toMatchObject({ code: 'CHUNK_FETCH_FAILED', cause })
    expect(calls()).toBe(defaultLimits.chunkAttempts)
  })

  it('says CHUNK_NOT_FOUND when the cloud has it not', async () => {
    const { context } = contextOf(failing(core.CHUNK_NOT_FOUND({ sha256: 'x' })).link)
    await expect(fetchChunks(wanted(1, 5), context)).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
  })

  it('does not fetch again what arrived but could not be kept', async () => {
    const { link, calls } = (() => {
      let count = 0
      const fetchChunk = () => Promise.resolve(new Uint8Array(++count))
      return { link: { ...new MapCloud().link(), fetchChunk }, calls: () => count }
    })()
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    const { context } = contextOf(link, { put: () => Promise.reject(full) })
    await expect(fetchChunks(wanted(3, 5), context)).rejects.toBe(full)
    expect(calls()).toBe(1)
  })

  it('ends at once when it is no longer wanted', async () => {
    const abort = new AbortController()
    const link: EdgeLink = { ...new MapCloud().link(), fetchChunk: () => new Promise(() => undefined) }
    const { context } = contextOf(link, { signal: abort.signal })
    const done = fetchChunks(wanted(3, 5), context)
    abort.abort(new Error('newer'))
    await expect(done).rejects.toThrow('newer')
  })
})
