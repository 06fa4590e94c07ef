import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOnnxNodeRuntime } from './runtime.js'

// In a file of its own, so that nothing has loaded the binding yet: Node keeps a loaded one for the whole process.
describe('on a platform without a native binding', () => {
  const arch = Object.getOwnPropertyDescriptor(process, 'arch')
  beforeAll(() => {
    Object.defineProperty(process, 'arch', { ...arch, value: 'mips' })
  })
  afterAll(() => {
    if (arch !== undefined) Object.defineProperty(process, 'arch', arch)
  })

  it('lists no providers and says RUNTIME_UNAVAILABLE, what is missing and what to install', async () => {
    const runtime = createOnnxNodeRuntime()
    expect(runtime.flags.providers).toEqual([])
    const error: unknown = await runtime.load(new Uint8Array(1)).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'RUNTIME_UNAVAILABLE',
      data: { platform: process.platform, arch: 'mips', reason: 'it has no binary for this platform' },
    })
    expect((error as Error).message).toMatch(/onnxruntime-web/)
  })
})
