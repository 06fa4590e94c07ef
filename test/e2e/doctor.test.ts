import { describe, expect, it } from 'vitest'
import type { Finding } from '../../cloud/src/doctor/examine.js'
import type { Machine } from '../../cloud/src/doctor/machine.js'
import { tideway, tidewayJson } from '../support/command.js'

interface Diagnosis {
  readonly machine: Machine
  readonly engines: readonly Finding[]
}

describe('tideway doctor', () => {
  it('tries every engine, says how fast it is or why it does not work, and how to get it', async () => {
    const { machine, engines } = await tidewayJson<Diagnosis>(['doctor'])
    expect(machine).toMatchObject({ node: process.version, threads: expect.any(Number) })
    const found = (id: string) => engines.find((engine) => engine.id === id)
    const native = found('onnx-node-cpu')
    expect(native).toMatchObject({ state: 'works', version: expect.stringMatching(/^\d+\.\d+/) })
    expect(native!.measured!.inferredPerSecond).toBeGreaterThan(0)
    expect(native!.measured!.trainedPerSecond).toBeGreaterThan(0)
    expect(found('onnx-web-wasm')).toMatchObject({ state: 'works', measured: { loadMs: expect.any(Number) } })
    for (const id of ['tfjs-wasm', 'tfjs-cpu']) expect(found(id)).toMatchObject({ state: 'works', version: '4.22.0' })
    expect(found('tfjs-tfjs-node')?.get).toContain('npm install @tideway/runtime-tfjs @tensorflow/tfjs-node')
    for (const { state, reason, get } of engines) {
      if (state === 'works') continue
      expect(reason).toMatch(/\S/)
      expect(get).toMatch(/\S/)
    }
    const elsewhere = process.platform === 'darwin' ? 'onnx-node-dml' : 'onnx-node-coreml'
    expect(found(elsewhere)).toMatchObject({ state: 'fails', reason: expect.stringContaining('none of that name') })
  })

  it('is a table for people', async () => {
    const { code, output } = await tideway(['doctor'])
    expect(code).toBe(0)
    expect(output).toMatch(/onnx-node\s+│ cpu\s+│ works/)
    expect(output).toContain('get it: ')
  })
})
