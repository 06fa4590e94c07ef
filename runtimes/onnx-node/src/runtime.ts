import { createOrtSession, errors, firstLine, type LoadOptions, type Runtime, type RuntimeFlags } from '@tideway/core'
import type { InferenceSession } from 'onnxruntime-node'
import { loadBinding, type OrtModule } from './binding.js'

/** Defaults for every `load`; what a load names itself wins. */
export type OnnxNodeOptions = LoadOptions

const CPU = 'cpu'

const PRECISIONS = ['fp32', 'fp16', 'int8', 'int4']

/** ONNX Runtime's own operators, of which Tideway's quantizer makes use; its builds for all platforms have them. */
const OPERATORS = ['com.microsoft.DynamicQuantizeLSTM', 'com.microsoft.MatMulNBits']

/**
 * ONNX models on onnxruntime-node. The native library is loaded with the first model, or when `flags.providers` is
 * read; where it cannot be, `load` throws `RUNTIME_UNAVAILABLE` and the list of providers is empty.
 *
 * Providers other than `cpu` are listed when the package bundles them; whether a GPU answers is known after the first
 * load, and one that failed (`PROVIDER_UNAVAILABLE`) is not listed again.
 *
 * @example
 * const session = await createOnnxNodeRuntime().load(bytes, { intraOpThreads: 1 })
 * const { y } = await session.run({ x: { dtype: 'float32', shape: [1, 784], data: pixels } })
 * await session.dispose()
 */
export function createOnnxNodeRuntime(options: OnnxNodeOptions = {}): Runtime {
  const seen = new Map<string, boolean>()
  return {
    name: 'onnx-node',
    get flags(): RuntimeFlags {
      return { formats: ['onnx'], providers: usableProviders(seen), precisions: PRECISIONS, operators: OPERATORS }
    },
    async load(bytes, load = {}) {
      const ort = loadBinding()
      const provider = load.provider ?? options.provider ?? CPU
      const known = ort.listSupportedBackends().some((backend) => backend.name === provider)
      if (!known) throw unavailable(provider, seen)
      const native = await create(ort, bytes, provider, load.intraOpThreads ?? options.intraOpThreads).catch(
        async (cause: unknown) => {
          if (provider === CPU || !(await loadsOnCpu(ort, bytes))) throw invalid(cause)
          seen.set(provider, false)
          throw unavailable(provider, seen, cause)
        },
      )
      seen.set(provider, true)
      // Shares each input's buffer with the library, which reads it during the run.
      return createOrtSession(native, ({ dtype, data, shape }) => new ort.Tensor(dtype, data, shape))
    },
  }
}

function create(
  ort: OrtModule,
  bytes: Uint8Array,
  provider: string,
  intraOpThreads: number | undefined,
): Promise<InferenceSession> {
  return ort.InferenceSession.create(bytes, {
    executionProviders: [provider],
    // Failures come back as exceptions; the library's own copy on stderr would only say them twice.
    logSeverityLevel: 4,
    ...(intraOpThreads === undefined ? {} : { intraOpNumThreads: intraOpThreads }),
  })
}

/** Tells a model that no provider takes from a provider that is not there, whatever its message says. */
async function loadsOnCpu(ort: OrtModule, bytes: Uint8Array): Promise<boolean> {
  try {
    await (await create(ort, bytes, CPU, 1)).release()
    return true
  } catch {
    return false
  }
}

/** Those that the package bundles and those that a load has shown to work, without those that a load has shown not to. */
function usableProviders(seen: ReadonlyMap<string, boolean>): string[] {
  let backends: readonly { name: string; bundled: boolean }[]
  try {
    backends = loadBinding().listSupportedBackends()
  } catch {
    return []
  }
  const names = backends.filter((backend) => seen.get(backend.name) ?? backend.bundled).map((backend) => backend.name)
  return names.sort((a, b) => Number(b === CPU) - Number(a === CPU))
}

function unavailable(provider: string, seen: ReadonlyMap<string, boolean>, cause?: unknown): Error {
  return errors.PROVIDER_UNAVAILABLE({ provider, available: usableProviders(seen) }, cause)
}

function invalid(cause: unknown): Error {
  return errors.MODEL_INVALID({ reason: firstLine(cause) }, cause)
}
