import { createOrtSession, errors, firstLine, type OrtFeed, PROBE, type Session, Unusable } from '@tideway/core/runtime'
import type { InferenceSession } from 'onnxruntime-node'
import { loadBinding, type OrtModule } from './binding.js'

export const CPU = 'cpu'
const WITH_CPU = `+${CPU}`

/** How a provider is asked of ONNX Runtime. */
interface Provider {
  readonly names: readonly string[]
  /** Whether every operator has to run on it. */
  readonly whole: boolean
}

/** `webgpu` is that alone; `webgpu+cpu` runs on the CPU what it lacks. */
function providerOf(name: string): Provider {
  if (!name.endsWith(WITH_CPU)) return { names: [name], whole: name !== CPU }
  return { names: [name.slice(0, -WITH_CPU.length), CPU], whole: false }
}

/**
 * Loads a model on one provider. Throws `Unusable` when the provider is not here or cannot take the model, `MODEL_INVALID`
 * when nothing could, and `RUNTIME_UNAVAILABLE`.
 */
export async function loadOn(name: string, bytes: Uint8Array, intraOpThreads: number | undefined): Promise<Session> {
  const ort = loadBinding()
  const provider = providerOf(name)
  const [main = CPU] = provider.names
  // Every build has the CPU.
  if (main !== CPU && !ort.listSupportedBackends().some((backend) => backend.name === main))
    throw new Unusable('this build of onnxruntime-node has none of that name', false)
  const native = await create(ort, bytes, provider, intraOpThreads).catch(async (cause: unknown) => {
    throw await whyNot(ort, bytes, provider, cause)
  })
  return createOrtSession(native, (feed) => tensorOf(ort, feed))
}

/**
 * Shares the buffer of an input with the library, which reads it during the run. Halves are bits to it, as they are to us: where
 * JavaScript has Float16Array (Node 24), the library's own constructor makes one, of which its native part reads nothing.
 */
function tensorOf(ort: OrtModule, { dtype, data, shape }: OrtFeed) {
  if (dtype !== 'float16') return new ort.Tensor(dtype, data, shape)
  return Object.assign(new ort.Tensor('uint16', data, shape), { type: 'float16' as const })
}

/** Tells a provider that is not here from one that cannot take this model, and both from a model that nothing takes. */
async function whyNot(ort: OrtModule, bytes: Uint8Array, { names, whole }: Provider, cause: unknown): Promise<Error> {
  const [main = CPU] = names
  const reason = firstLine(cause)
  if (whole && (await loads(ort, bytes, { names: [main, CPU], whole: false }))) {
    const help = `it has no kernel for some operators of this model, which ${main}${WITH_CPU} runs on the CPU`
    return new Unusable(help, true, cause)
  }
  if (main === CPU || !(await loads(ort, bytes, { names: [CPU], whole: false })))
    return errors.MODEL_INVALID({ reason }, cause)
  // What takes the smallest of models is here, and this one is too much for it.
  return new Unusable(reason, await loads(ort, PROBE, { names: [main], whole: true }), cause)
}

function create(
  ort: OrtModule,
  bytes: Uint8Array,
  { names, whole }: Provider,
  intraOpThreads: number | undefined,
): Promise<InferenceSession> {
  return ort.InferenceSession.create(bytes, {
    executionProviders: [...names],
    // Failures come back as exceptions; the library's own copy on stderr would only say them twice.
    logSeverityLevel: 4,
    ...(intraOpThreads === undefined ? {} : { intraOpNumThreads: intraOpThreads }),
    // Without it ONNX Runtime runs what a provider has no kernel for on the CPU, and says so in its log at most.
    ...(whole && { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
  })
}

async function loads(ort: OrtModule, bytes: Uint8Array, provider: Provider): Promise<boolean> {
  try {
    await (await create(ort, bytes, provider, 1)).release()
    return true
  } catch {
    return false
  }
}

/**
 * Those that the package bundles and those that a load has shown to work, without those that a load has shown not to; the
 * CPU first, and each other also with the CPU's help.
 */
export function usableProviders(seen: ReadonlyMap<string, boolean>): string[] {
  let backends: readonly { name: string; bundled: boolean }[]
  try {
    backends = loadBinding().listSupportedBackends()
  } catch {
    return []
  }
  const names = backends.flatMap(({ name, bundled }) => {
    const here = [name, `${name}${WITH_CPU}`].filter((provider) => seen.get(provider) ?? seen.get(name) ?? bundled)
    return name === CPU ? [CPU] : here
  })
  return names.sort((a, b) => Number(b === CPU) - Number(a === CPU))
}
