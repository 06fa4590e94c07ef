import { codeOf } from '@tideway/core'
import { type RuntimeTest, runRuntimeCase } from '@tideway/test/contract/runtime-cases'
import { affine, everyType, identityModel } from '@tideway/test/support/onnx-models'
import { createOnnxWebRuntime, type OnnxWebOptions } from './index.js'

/** What tests ask of a page; answers are plain data. */
const asked = {
  run: (id: RuntimeTest, options: OnnxWebOptions) =>
    runRuntimeCase(id, { create: () => createOnnxWebRuntime(options), ...affine() }),

  /** Loads the affine model from bytes or an address: what the session says, or the error. */
  async load(options: OnnxWebOptions, url?: string) {
    const told: string[] = []
    const runtime = createOnnxWebRuntime({
      ...options,
      ...(options.fallback && {
        fallback: {
          to: options.fallback.to,
          onFallback: ({ from, to, error }) => void told.push(`${from} ${to} ${error}`),
        },
      }),
    })
    try {
      const session = await runtime.load(url ?? affine().model)
      const { provider, threads, signature } = session
      await session.dispose()
      return { provider, threads, signature, told, providers: runtime.flags.providers }
    } catch (error) {
      return { code: codeOf(error), message: String(error), told, providers: runtime.flags.providers }
    }
  },

  /** What becomes of a tensor of each element type: 'unchanged', or the code of the error. */
  async carry(options: OnnxWebOptions) {
    const results: Record<string, string | undefined> = {}
    for (const tensor of Object.values(everyType)) {
      try {
        const session = await createOnnxWebRuntime(options).load(identityModel(tensor.dtype))
        const { y } = await session.run({ x: tensor })
        const same = y?.dtype === tensor.dtype && String(y.data) === String(tensor.data)
        results[tensor.dtype] = same ? 'unchanged' : `${y?.dtype} ${String(y?.data)}`
        await session.dispose()
      } catch (error) {
        results[tensor.dtype] = codeOf(error) ?? String(error)
      }
    }
    return results
  },
}

export type Asked = typeof asked

Object.assign(globalThis, { asked })
