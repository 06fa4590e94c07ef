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
} from '@tideway/core'
import type { Skipped } from './backends/backend.js'
import { backendsOf, type Choice, chooseBackend } from './backends/choose.js'
import { BACKEND_NAMES } from './backends/table.js'
import { DEFAULT_MAX_MODEL_BYTES, readModelFile } from './format/read.js'
import { listedProviders, loadOn } from './providers.js'

export interface TfjsLoadOptions extends LoadOptions {
  /** `tfjs-node-gpu`, `tfjs-node`, `webgpu`, `wasm` or `cpu`; the first of `providers` that is here when left out. */
  readonly provider?: string
  /** Threads of the CPU. `wasm` and `cpu` have one in Node; tfjs-node takes the number that its first model asks for. */
  readonly intraOpThreads?: number
  /** Left out: a backend that cannot take a model is an error. */
  readonly fallback?: FallbackOptions
}

/** Defaults for every `load`; what a load names itself wins. */
export interface TfjsOptions extends Omit<TfjsLoadOptions, 'provider'> {
  /** Backends that may be used, in the order of preference; all, the fastest first, when left out. */
  readonly providers?: readonly string[]
  /** Told once of each that comes before the chosen one, why it is not it and how to get it. */
  readonly onSkip?: (skipped: Skipped) => void
  /** Larger files are refused; 384 MiB when left out. */
  readonly maxModelBytes?: number
}

export interface TfjsSession extends Session {
  /** The backend that it runs on. */
  readonly provider: string
  /** The steps that led to this backend; none when it is the one that was asked for or chosen. */
  readonly fallbacks: readonly Fallback[]
  /** Backends that are preferred and were not chosen, each with the reason; none when one was asked for. */
  readonly skipped: readonly Skipped[]
}

export interface TfjsRuntime extends Runtime {
  load(bytes: Uint8Array, options?: TfjsLoadOptions): Promise<TfjsSession>
}

/** Weights may lie in the file as float16 or in 8 bits, and are float32 once loaded. */
const PRECISIONS = ['fp32', 'fp16', 'int8']

/**
 * TensorFlow.js Layers and Graph models, a variant's format `tfjs`: one model.json with its weights inside (see
 * `packTfjsModel`). Runs on the first backend of `providers` that is here, which is found out with the first model; why
 * others were skipped is in the session and goes to `onSkip`. Sessions on different backends may be open at once, though
 * TensorFlow.js computes on one at a time: runs take turns, and the backend that other code has chosen stays chosen.
 *
 * Names of inputs and outputs are those of layers in a Layers model, and those of the signature (else of nodes) in a Graph
 * model. Throws `MODEL_INVALID` naming every bad field; `PROVIDER_UNAVAILABLE` for a backend that is not here or lacks an
 * operation, with the reason, unless `fallback` says where to go instead; `TFJS_BACKENDS_UNAVAILABLE` when none is here;
 * `TFJS_THREADS_UNAVAILABLE`, `TOO_LARGE`; when it is made, `INPUT_REJECTED` for options that are none.
 *
 * @example
 * const runtime = createTfjsRuntime({ providers: ['webgpu', 'wasm'], onSkip: console.warn })
 * const session = await runtime.load(packTfjsModel(modelJson, { 'weights.bin': weights }))
 * const { dense_2 } = await session.run({ image: { dtype: 'float32', shape: [1, 784], data: pixels } })
 * await session.dispose()
 */
export function createTfjsRuntime(options: TfjsOptions = {}): TfjsRuntime {
  const order = options.providers ?? BACKEND_NAMES
  backendsOf(order)
  const maxModelBytes = options.maxModelBytes ?? DEFAULT_MAX_MODEL_BYTES
  const failed = new Set<string>()
  let choosing: Promise<Choice> | undefined
  let chosen: string | undefined

  const usable = (): string[] =>
    listedProviders(order, failed).toSorted((a, b) => Number(b === chosen) - Number(a === chosen))

  const choose = async (threads: number | undefined): Promise<Choice> => {
    const choice = await chooseBackend(order, threads)
    chosen = choice.backend
    for (const skipped of choice.skipped) {
      failed.add(skipped.backend)
      options.onSkip?.(skipped)
    }
    return choice
  }

  const loadOrSay = async (provider: string, load: () => Promise<Session>): Promise<Session> => {
    try {
      return await load()
    } catch (cause) {
      if (!(cause instanceof Unusable)) throw cause
      if (!cause.ofModel) failed.add(provider)
      throw shared.PROVIDER_UNAVAILABLE({ provider, available: usable(), reason: cause.message }, cause)
    }
  }

  return {
    name: 'tfjs',
    get flags(): RuntimeFlags {
      return { formats: ['tfjs'], providers: usable(), precisions: PRECISIONS }
    },
    async load(bytes, load = {}) {
      const threads = checkThreads(load.intraOpThreads ?? options.intraOpThreads)
      const file = readModelFile(bytes, maxModelBytes)
      let skipped: readonly Skipped[] = []
      let asked = load.provider
      if (asked === undefined) {
        choosing ??= choose(threads)
        // What was missing may be installed by the next load.
        const choice = await choosing.catch((cause: unknown) => {
          choosing = undefined
          throw cause
        })
        skipped = choice.skipped
        asked = choice.backend
      }
      const { loaded, ...place } = await loadOnFirst(asked, load.fallback ?? options.fallback, (provider) =>
        loadOrSay(provider, () => loadOn(provider, file, threads)),
      )
      return { ...loaded, ...place, skipped }
    },
  }
}

function checkThreads(threads: number | undefined): number | undefined {
  if (threads === undefined || (Number.isSafeInteger(threads) && threads >= 1)) return threads
  throw shared.INPUT_REJECTED({ what: 'load', issues: [`intraOpThreads: ${threads} is no whole number from 1 up`] })
}
