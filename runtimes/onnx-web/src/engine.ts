import { firstLine, PROBE, errors as shared } from '@tideway/core/runtime'
import { engines } from '#engines'
import type { Build, OrtModule } from './engines/engines.js'
import { errors } from './errors.js'

type Engine = Readonly<Awaited<ReturnType<typeof start>>>

/** Builds that were started. Not of a runtime: a build has one memory and one set of threads in a page or process. */
const started = new Map<Build, Promise<Engine>>()

/** Threads beyond these gain nothing in models of a size for the web. */
const MOST_THREADS = 4

export interface EngineOptions {
  readonly threads: number | undefined
  readonly wasmBase: string | URL | undefined
}

/**
 * The engine of a build, started with the first model. Throws `RUNTIME_UNAVAILABLE` where it does not start,
 * `THREADS_UNAVAILABLE` when it has another number of threads than asked for, `INPUT_REJECTED` when that is no number of
 * threads.
 */
export async function openEngine(build: Build, { threads, wasmBase }: EngineOptions): Promise<Engine> {
  // ONNX Runtime would take its default.
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1))
    throw shared.INPUT_REJECTED({ what: 'load', issues: [`intraOpThreads: ${threads} is no whole number from 1 up`] })
  const without = engines.withoutThreads()
  if (threads !== undefined && threads > 1 && without !== undefined)
    throw errors.THREADS_UNAVAILABLE({ threads, available: 1, reason: without })
  const most = Math.min(MOST_THREADS, Math.max(1, Math.ceil(engines.cores() / 2)))
  const engine = started.get(build) ?? start(build, threads ?? (without === undefined ? most : 1), wasmBase)
  started.set(build, engine)
  const { threads: available } = await engine
  if (threads !== undefined && threads !== available)
    throw errors.THREADS_UNAVAILABLE({ threads, available, reason: 'the engine was started with so many' })
  return engine
}

async function start(build: Build, threads: number, wasmBase: string | URL | undefined) {
  const serial = createSerial()
  let ort: OrtModule
  try {
    ort = await build.load()
  } catch (cause) {
    // Nothing was started: a file that did not arrive may be asked for again.
    started.delete(build)
    throw unavailable(cause)
  }
  // All that is wrong comes back as exceptions; the library would say it twice.
  ort.env.logLevel = 'fatal'
  ort.env.wasm.numThreads = threads
  if (wasmBase !== undefined) ort.env.wasm.wasmPaths = { wasm: new URL(build.file, wasmBase).href }
  try {
    // Tells an engine that does not start from a model that it does not take.
    const probe = await serial(() => ort.InferenceSession.create(PROBE, { executionProviders: [build.provider] }))
    await serial(() => probe.release())
  } catch (cause) {
    throw unavailable(cause)
  }
  return { ort, threads, serial }
}

/**
 * Runs one task after another. ONNX Runtime 1.30 awaits in the middle of a run while it holds places on WebAssembly's
 * stack, which a second run would take too; and with WebGPU the engine can wait in one call at a time: the contract's
 * suite never ended without this.
 */
function createSerial() {
  let last: Promise<unknown> | undefined
  return <T>(task: () => Promise<T>): Promise<T> => {
    // At once where nothing runs: the turn through a promise that is settled would be felt by a small model.
    const next = last === undefined ? task() : last.then(task)
    const end = (): void => {
      if (last === ended) last = undefined
    }
    const ended: Promise<void> = next.then(end, end)
    last = ended
    return next
  }
}

function unavailable(cause: unknown): Error {
  const { platform, arch } = engines
  return shared.RUNTIME_UNAVAILABLE({ engine: 'onnxruntime-web', platform, arch, reason: firstLine(cause) }, cause)
}
