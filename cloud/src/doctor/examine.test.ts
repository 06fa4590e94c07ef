import { describe, expect, it } from 'vitest'
import { examine } from './examine.js'
import { PROBES } from './probes.js'

const cpu = PROBES.find(({ id }) => id === 'onnx-node-cpu')!
const fixture = (name: string): URL => new URL(`./${name}.fixture.mjs`, import.meta.url)

describe('the self-test of an engine', () => {
  it('says how fast it is', async () => {
    const { state, measured } = await examine(cpu)
    expect(state).toBe('works')
    expect(Math.min(measured!.inferredPerSecond, measured!.trainedPerSecond!, measured!.loadMs)).toBeGreaterThan(0)
  })

  it('is a finding where its process crashes, and where it does not come back', async () => {
    const crashed = await examine(cpu, { file: fixture('crashes') })
    expect(crashed).toMatchObject({ state: 'fails', get: cpu.get })
    expect(crashed.reason).toMatch(/^its process ended with \S+ and no answer$/)
    const hung = await examine(cpu, { file: fixture('hangs'), mostMs: 300 })
    expect(hung).toMatchObject({ state: 'fails', reason: 'it took more than 0.3 s', get: cpu.get })
  })

  it('is not tried where its package is not installed', async () => {
    const finding = await examine({ ...cpu, package: 'no-such-engine' }, { file: fixture('hangs') })
    expect(finding).toMatchObject({ state: 'missing', reason: 'no-such-engine is not installed', get: cpu.get })
  })
})
