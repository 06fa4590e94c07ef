import { type LogData, silentLogger } from '@tideway/core'
import { affine } from '@tideway/test/support/onnx-models'
import { afterEach, describe, expect, it } from 'vitest'
import { doubling } from '../tfjs.fixture.js'
import { createRuntime } from './peers.js'

const arch = Object.getOwnPropertyDescriptor(process, 'arch')!
const [platform, real] = [process.platform, process.arch]

describe('the runtime of a device', () => {
  const warned: [string, LogData?][] = []
  const logger = { ...silentLogger, warn: (message: string, data?: LogData) => void warned.push([message, data]) }
  const pretend = (value: string) => Object.defineProperty(process, 'arch', { ...arch, value })
  afterEach(() => {
    pretend(real)
    warned.length = 0
  })

  // First: Node keeps a native library that was loaded, whatever the processor is called.
  it('is that in WebAssembly where the native one has no binary, which is said', async () => {
    pretend('mips')
    const runtime = await createRuntime('onnx', 1, logger)
    expect(runtime.name).toBe('onnx-web')
    const reason = `@tideway/runtime-onnx-node has no binary for ${platform}-mips`
    expect(warned).toEqual([['models run in WebAssembly', { reason }]])
    const { model, cases } = affine()
    const session = await runtime.load(model)
    expect(await session.run(cases[0]!.inputs)).toEqual(cases[0]!.outputs)
    await session.dispose()
  })

  it('is the native one where there is one', async () => {
    expect((await createRuntime('onnx', 1, logger)).name).toBe('onnx-node')
    expect(warned).toEqual([])
  })

  it('is TensorFlow.js where that is asked for, and what its backends lack is said', async () => {
    const runtime = await createRuntime('tfjs', 1, logger)
    expect(runtime.flags.formats).toEqual(['tfjs'])
    const { model, inputs, outputs } = doubling()
    const session = await runtime.load(model)
    expect(await session.run(inputs)).toEqual(outputs)
    await session.dispose()
    for (const [message, data] of warned) {
      expect(message).toBe('a faster backend of TensorFlow.js is not used')
      expect(data).toMatchObject({ backend: expect.any(String), reason: expect.any(String), get: expect.any(String) })
    }
    expect(warned.length).toBeLessThan(5)
  })
})
