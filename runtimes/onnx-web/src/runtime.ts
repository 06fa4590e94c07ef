import {
  type Fallback,
  type FallbackOptions,
  type LoadOptions,
  loadOnFirst,
  type Runtime,
  type RuntimeFlags,
  type Session,
  errors as shared,
  Unusable,
} from '@tideway/core/runtime'
import { type FetchModelOptions, fetchModel, type ModelSource } from './fetch/fetch-model.js'
import { type Loaded, listedProviders, loadOn } from './providers.js'

export interface OnnxWebLoadOptions extends LoadOptions, FetchModelOptions {
  /**
   * `wasm` (default); `webgpu`, which takes a model as a whole or not at all; `webgpu+wasm`, which runs operators that
   * have no WebGPU kernel in WebAssembly.
   */
  readonly provider?: string
  /** Threads of WebAssembly. All models share those that the first one started: another number is refused. */
  readonly intraOpThreads?: number
  /** Left out: a provider that cannot take a model is an error. */
  readonly fallback?: FallbackOptions
}

/** Defaults for every `load`; what a load names itself wins. */
export interface OnnxWebOptions extends OnnxWebLoadOptions {
  /** Where ONNX Runtime's `.wasm` files are, when they are not beside its JavaScript (a bundler puts them there). */
  readonly wasmBase?: string | URL
}

export interface OnnxWebSession extends Session {
  /** The provider that it runs on. */
  readonly provider: string
  /** Threads inside one operator of WebAssembly. */
  readonly threads: number
  /** The steps that led to this provider; none when it is the one that was asked for. */
  readonly fallbacks: readonly Fallback[]
}

export interface OnnxWebRuntime extends Runtime {
  load(source: Uint8Array | ModelSource, options?: OnnxWebLoadOptions): Promise<OnnxWebSession>
}

const WASM = 'wasm'

const PRECISIONS = ['fp32', 'fp16', 'int8', 'int4']

/** ONNX Runtime's own operators, of which Tideway's quantizer makes use. */
const OPERATORS = ['com.microsoft.DynamicQuantizeLSTM', 'com.microsoft.MatMulNBits']

/**
 * ONNX models on onnxruntime-web: WebAssembly with SIMD in browsers and in Node where onnxruntime-node has no binary,
 * with threads in Node and in pages that are cross-origin isolated; WebGPU in browsers. The engine is loaded with the
 * first model, one file for each of WebAssembly and WebGPU. `load` takes bytes, or an address or a stream that it reads
 * within a limit (see `fetchModel`, whose errors it throws, too).
 *
 * A provider that is not there, or lacks an operator of the model, is `PROVIDER_UNAVAILABLE` with the reason, unless
 * `fallback` says where to go instead and takes that reason. `RUNTIME_UNAVAILABLE`: the engine does not start.
 * `THREADS_UNAVAILABLE`: it cannot have so many threads.
 *
 * @example
 * const runtime = createOnnxWebRuntime({ provider: 'webgpu', fallback: { to: ['wasm'], onFallback: console.warn } })
 * const session = await runtime.load('/models/digits.onnx')
 * const { probabilities } = await session.run({ image: { dtype: 'float32', shape: [1, 784], data: pixels } })
 * await session.dispose()
 */
export function createOnnxWebRuntime(options: OnnxWebOptions = {}): OnnxWebRuntime {
  const failed = new Set<string>()
  const preferred = options.provider ?? WASM
  const usable = (): string[] =>
    listedProviders()
      .filter((name) => !failed.has(name))
      .toSorted((a, b) => Number(b === preferred) - Number(a === preferred))

  const loadOrSay = async (provider: string, bytes: Uint8Array, load: OnnxWebLoadOptions): Promise<Loaded> => {
    try {
      return await loadOn(provider, bytes, {
        threads: load.intraOpThreads ?? options.intraOpThreads,
        wasmBase: options.wasmBase,
      })
    } catch (cause) {
      if (!(cause instanceof Unusable)) throw cause
      if (!cause.ofModel) failed.add(provider)
      throw shared.PROVIDER_UNAVAILABLE({ provider, available: usable(), reason: cause.message }, cause)
    }
  }

  return {
    name: 'onnx-web',
    get flags(): RuntimeFlags {
      return { formats: ['onnx'], providers: usable(), precisions: PRECISIONS, operators: OPERATORS }
    },
    async load(source, load = {}) {
      const bytes = source instanceof Uint8Array ? source : await fetchModel(source, { ...options, ...load })
      const fallback = load.fallback ?? options.fallback
      const { loaded, ...place } = await loadOnFirst(load.provider ?? preferred, fallback, (provider) =>
        loadOrSay(provider, bytes, load),
      )
      return { ...loaded.session, threads: loaded.threads, ...place }
    },
  }
}
