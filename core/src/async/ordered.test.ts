import { describe, expect, it } from 'vitest'
import { ordered } from './ordered.js'

describe('work on several items at a time', () => {
  it('gives results in order, and begins no more than it may', async () => {
    const ends: (() => void)[] = []
    let read = 0
    async function* items() {
      for (; read < 5; read++) yield read
    }
    const results = ordered(items(), 2, (item) => new Promise<number>((resolve) => ends.push(() => resolve(item * 10))))
    const first = results.next()
    await new Promise((resolve) => setImmediate(resolve))
    expect(ends).toHaveLength(2)
    ends[1]?.()
    ends[0]?.()
    expect(await first).toEqual({ value: 0, done: false })
    expect(read).toBeLessThanOrEqual(2)
    const rest: number[] = []
    const drained = (async () => {
      for await (const result of results) rest.push(result)
    })()
    for (let at = 2; at < 5; at++) {
      await new Promise((resolve) => setImmediate(resolve))
      ends[at]?.()
    }
    await drained
    expect(rest).toEqual([10, 20, 30, 40])
  })

  it('gives what is there while the next item is waited for', async () => {
    let ask: (item: number) => void = () => undefined
    async function* items() {
      for (let at = 0; at < 3; at++) yield await new Promise<number>((resolve) => (ask = resolve))
    }
    const results = ordered(items(), 4, async (item) => item * 2)
    for (const item of [1, 2, 3]) {
      const answer = results.next()
      await new Promise((resolve) => setImmediate(resolve))
      ask(item)
      expect(await answer).toEqual({ value: item * 2, done: false })
    }
    expect(await results.next()).toMatchObject({ done: true })
  })

  it('fails with its source, after what the source gave', async () => {
    async function* items() {
      yield 1
      throw new Error('no more')
    }
    const results = ordered(items(), 3, async (item) => item)
    expect(await results.next()).toEqual({ value: 1, done: false })
    await expect(results.next()).rejects.toThrow('no more')
  })

  it('ends its source when nobody takes any more', async () => {
    const left = new Promise((resolve) => {
      async function* items() {
        try {
          for (let at = 0; ; at++) yield at
        } finally {
          resolve(undefined)
        }
      }
      void ordered(items(), 2, async (item) => item)
        .next()
        .then(async () => {
          for await (const item of ordered(items(), 2, async (at) => at)) if (item === 3) break
        })
    })
    await left
  })

  it('fails at the place of what failed, after those before it', async () => {
    async function* items() {
      yield* [1, 2, 3]
    }
    const results = ordered(items(), 3, async (item) => {
      if (item === 2) throw new Error('two')
      return item
    })
    expect(await results.next()).toEqual({ value: 1, done: false })
    await expect(results.next()).rejects.toThrow('two')
  })
})
