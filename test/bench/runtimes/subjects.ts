import { createRequire } from 'node:module'

/** The runtimes that are measured, each against the package that it stands on. */
export const RUNTIMES = ['onnx-node', 'onnx-web'] as const
export type RuntimeName = (typeof RUNTIMES)[number]

export type Side = 'ours' | 'bare'

/** One loaded model. `run` answers the first value of its only output, so that the output is read in either case. */
export interface Subject {
  run(data: Float32Array, shape: readonly number[]): Promise<number>
  dispose(): Promise<void>
}

export type Load = (bytes: Uint8Array) => Promise<Subject>

const INPUT = 'x'
const OUTPUT = 'y'

/**
 * Each way to load a model, with the same session options: one execution provider, as many threads, no log. The packages
 * are imported here, so that a process has only what it measures.
 */
export const subjects: Readonly<Record<RuntimeName, Readonly<Record<Side, (threads: number) => Promise<Load>>>>> = {
  'onnx-node': {
    async ours(threads) {
      const { createOnnxNodeRuntime } = await import('@tideway/runtime-onnx-node')
      return ourLoad(createOnnxNodeRuntime({ intraOpThreads: threads }))
    },
    async bare(threads) {
      const ort = createRequire(import.meta.url)('onnxruntime-node') as typeof import('onnxruntime-node')
      return bareLoad(ort, { executionProviders: ['cpu'], logSeverityLevel: 4, intraOpNumThreads: threads })
    },
  },
  'onnx-web': {
    async ours(threads) {
      const { createOnnxWebRuntime } = await import('@tideway/runtime-onnx-web')
      return ourLoad(createOnnxWebRuntime({ intraOpThreads: threads }))
    },
    async bare(threads) {
      const ort = await import('onnxruntime-web')
      ort.env.logLevel = 'fatal'
      ort.env.wasm.numThreads = threads
      return bareLoad(ort, { executionProviders: ['wasm'], logSeverityLevel: 4 })
    },
  },
}

function firstOf(output: { readonly data: unknown } | undefined): number {
  const value: unknown = (output?.data as ArrayLike<unknown> | undefined)?.[0]
  if (typeof value !== 'number') throw new Error('the model gave no number')
  return value
}

function ourLoad(runtime: import('@tideway/core').Runtime): Load {
  return async (bytes) => {
    const session = await runtime.load(bytes)
    return {
      async run(data, shape) {
        const answer = await session.run({ [INPUT]: { dtype: 'float32', shape, data } })
        return firstOf(answer[OUTPUT])
      },
      dispose: () => session.dispose(),
    }
  }
}

type Ort = Pick<typeof import('onnxruntime-node'), 'InferenceSession' | 'Tensor'>

function bareLoad(ort: Ort, options: import('onnxruntime-node').InferenceSession.SessionOptions): Load {
  return async (bytes) => {
    const session = await ort.InferenceSession.create(bytes, options)
    return {
      async run(data, shape) {
        const answer = await session.run({ [INPUT]: new ort.Tensor('float32', data, shape) })
        return firstOf(answer[OUTPUT])
      },
      dispose: () => session.release(),
    }
  }
}
