import type { Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { Shadow, type ShadowOptions } from './shadow.js'

const floats = (value: number, length = 1): Tensors => ({
  y: { dtype: 'float32', shape: [length], data: new Float32Array(length).fill(value) },
})
const timing = (runNs: number) => ({ queueNs: 0, runNs, rows: 1, batchSize: 1, leads: true })
const options = (of: Partial<ShadowOptions> = {}): ShadowOptions => ({
  percent: 100,
  tolerance: { abs: 0.1, rel: 0, top1: false },
  run: async () => ({ outputs: floats(1), timing: timing(300) }),
  isIdle: () => true,
  random: () => 0.5,
  ...of,
})

describe('a shadow', () => {
  it('runs nothing before the answer is out, and counts what it finds', async () => {
    let runs = 0
    const shadow = new Shadow(
      options({
        run: async () => {
          runs++
          if (runs === 3) throw new Error('broken')
          return { outputs: floats(runs), timing: timing(300) }
        },
      }),
    )
    for (let at = 0; at < 3; at++) shadow.offer(floats(0), { outputs: floats(1), timing: timing(100) })
    expect(runs).toBe(0)
    await expect.poll(() => shadow.counts).toEqual({ agreed: 1, differed: 1, failed: 1, dropped: 0, latencyRatio: 3 })
  })

  it('drops what finds it full, in number and in bytes', async () => {
    let end = () => {}
    const held = new Promise<void>((resolve) => {
      end = resolve
    })
    const slow = new Shadow(options({ run: () => held.then(() => ({ outputs: floats(1) })) }))
    for (let at = 0; at < 200; at++) slow.offer(floats(0), { outputs: floats(1) })
    expect(slow.counts.dropped).toBeGreaterThan(100)
    const large = new Shadow(options({ run: () => held.then(() => ({ outputs: floats(1) })) }))
    for (let at = 0; at < 4; at++) large.offer(floats(0, 5_000_000), { outputs: floats(1) })
    expect(large.counts.dropped).toBe(1)
    end()
    await Promise.all([slow.close(), large.close()])
    expect(slow.counts.dropped + slow.counts.agreed).toBe(200)
  })

  it('gives way to real requests, but not for ever', async () => {
    let isIdle = false
    const shadow = new Shadow(options({ isIdle: () => isIdle }))
    const began = performance.now()
    shadow.offer(floats(0), { outputs: floats(1) })
    await expect.poll(() => shadow.counts.agreed, { interval: 2 }).toBe(1)
    expect(performance.now() - began).toBeGreaterThan(80)
    isIdle = true
    shadow.offer(floats(0), { outputs: floats(1) })
    await expect.poll(() => shadow.counts.agreed, { interval: 2 }).toBe(2)
  })

  it('mirrors its share alone', async () => {
    let draw = 0
    const shadow = new Shadow(options({ percent: 25, random: () => (draw++ % 4) / 4 }))
    for (let at = 0; at < 40; at++) shadow.offer(floats(0), { outputs: floats(1) })
    await expect.poll(() => shadow.counts.agreed).toBe(10)
  })
})
