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
