import type { DataType, Tensor } from '@tideway/core/runtime'
import { createOnnxWebRuntime } from '@tideway/runtime-onnx-web'

/** A tensor that travels into a page and back as text. */
export interface TextTensor {
  readonly dtype: DataType
  readonly shape: readonly number[]
  readonly base64: string
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))

/** What is asked of the page. */
const golden = {
  async answer(provider: string, model: string, inputs: Readonly<Record<string, TextTensor>>) {
    const fallback = { to: ['webgpu+wasm'], onFallback: () => undefined }
    const runtime = createOnnxWebRuntime({ provider, intraOpThreads: 1, ...(provider !== 'wasm' && { fallback }) })
    const session = await runtime.load(bytesOf(model))
    try {
      const given = Object.entries(inputs).map(([name, { dtype, shape, base64 }]) => {
        return [name, { dtype, shape, data: new Float32Array(bytesOf(base64).buffer) } as Tensor] as const
      })
      const answers = Object.entries(await session.run(Object.fromEntries(given)))
      const outputs = Object.fromEntries(
        answers.map(([name, { dtype, shape, data }]): [string, TextTensor] => {
          const { buffer, byteOffset, byteLength } = data as Float32Array
          const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
          return [name, { dtype, shape, base64: btoa(String.fromCharCode(...bytes)) }]
        }),
      )
      return { outputs, provider: session.provider }
    } finally {
      await session.dispose()
    }
  },
}

export type GoldenPage = typeof golden

Object.assign(globalThis, { golden })
