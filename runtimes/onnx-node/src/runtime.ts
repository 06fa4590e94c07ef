import {
  errors,
  type Fallback,
  type FallbackOptions,
  type LoadOptions,
  loadOnFirst,
  type Runtime,
  type RuntimeFlags,
  type Session,
  Unusable,
} from '@tideway/core/runtime'
import { CPU, loadOn, usableProviders } from './providers.js'

export interface OnnxNodeLoadOptions extends LoadOptions {
  /**
   * `cpu` (default); `webgpu`, `cuda`, `coreml` or `dml`, which take a model as a whole or not at all; one of these with
   * `+cpu`, which runs operators on the CPU that it has no kernel for.
   */
  readonly provider?: string
  /** Left out: a provider that cannot take a model is an error. */
  readonly fallback?: FallbackOptions
}

/** Defaults for every `load`; what a load names itself wins. */
export type OnnxNodeOptions = OnnxNodeLoadOptions

export interface OnnxNodeSession extends Session {
  /** The provider that it runs on. */
  readonly provider: string
  /** The steps that led to this provider; none when it is the one that was asked for. */
  readonly fallbacks: readonly Fallback[]
}

export interface OnnxNodeRuntime extends Runtime {
  load(bytes: Uint8Array, options?: OnnxNodeLoadOptions): Promise<OnnxNodeSession>
}

const PRECISIONS = ['fp32', 'fp16', 'int8', 'int4']

/** ONNX Runtime's own operators, of which Tideway's quantizer makes use; its builds for all platforms have them. */
const OPERATORS = ['com.microsoft.DynamicQuantizeLSTM', 'com.microsoft.MatMulNBits']

/**
 * ONNX models on onnxruntime-node. The native library is loaded with the first model, or when `flags.providers` is
 * read; where it cannot be, `load` throws `RUNTIME_UNAVAILABLE` and the list of providers is empty.
 *
 * Providers other than `cpu` are listed when the package bundles them; whether a GPU answers is known after the first
 * load, and one that failed is not listed again. A provider that is not there, or lacks an operator of the model, is
 * `PROVIDER_UNAVAILABLE` with the reason, unless `fallback` says where to go instead and takes that reason.
 *
 * @example
 * const runtime = createOnnxNodeRuntime({ provider: 'webgpu', fallback: { to: ['cpu'], onFallback: console.warn } })
 * const session = await runtime.load(bytes)
 * const { y } = await session.run({ x: { dtype: 'float32', shape: [1, 784], data: pixels } })
 * await session.dispose()
 */
export function createOnnxNodeRuntime(options: OnnxNodeOptions = {}): OnnxNodeRuntime {
  const seen = new Map<string, boolean>()
  const loadOrSay = async (provider: string, bytes: Uint8Array, threads: number | undefined): Promise<Session> => {
    try {
      const session = await loadOn(provider, bytes, threads)
      seen.set(provider, true)
      return session
    } catch (cause) {
      if (!(cause instanceof Unusable)) throw cause
      if (!cause.ofModel) seen.set(provider, false)
      throw errors.PROVIDER_UNAVAILABLE({ provider, available: usableProviders(seen), reason: cause.message }, cause)
    }
  }
  return {
    name: 'onnx-node',
    get flags(): RuntimeFlags {
      return { formats: ['onnx'], providers: usableProviders(seen), precisions: PRECISIONS, operators: OPERATORS }
    },
    async load(bytes, load = {}) {
      const asked = load.provider ?? options.provider ?? CPU
      const { loaded, ...place } = await loadOnFirst(asked, load.fallback ?? options.fallback, (provider) =>
        loadOrSay(provider, bytes, load.intraOpThreads ?? options.intraOpThreads),
      )
      return { ...loaded, ...place }
    },
  }
}
