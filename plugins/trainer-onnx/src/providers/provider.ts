import { errors } from '@tideway/core'
import { type InferenceSession, listSupportedBackends } from 'onnxruntime-node'

export const CPU = 'cpu'
/** The first that is here and trains faster than the CPU. */
export const AUTO = 'auto'
const WITH_CPU = `+${CPU}`
/** Best first. */
export const PROVIDERS = ['cuda', 'coreml', 'dml', 'webgpu'] as const

/** How a provider is asked of ONNX Runtime. */
export interface Provider {
  readonly name: string
  /** Without the CPU's help. */
  readonly main: string
  /** Whether every operator has to run on it. */
  readonly whole: boolean
  /** Whether outputs can stay in its memory, to be inputs again: onnxruntime-node has that for WebGPU's buffers alone. */
  readonly holds: boolean
}

/** `webgpu` is that alone; `webgpu+cpu` runs on the CPU what it lacks. */
export function providerOf(name: string): Provider {
  const main = name.endsWith(WITH_CPU) ? name.slice(0, -WITH_CPU.length) : name
  return { name, main, whole: main === name && name !== CPU, holds: main === 'webgpu' }
}

/**
 * What graphs for providers other than the CPU are written without: WebGPU has no kernel for these, and for 64-bit integers
 * few (its ArgMax gives such), CUDA none for MaxUnpool; the others cost little there.
 */
export const LACKING: ReadonlySet<string> = new Set([
  'ArgMax',
  'Conv3D',
  'float64',
  'int64',
  'LogSoftmax',
  'MaxUnpool',
  'OneHot',
  'Sign',
])

export function sessionOptions({ main, whole }: Provider, threads: number): InferenceSession.SessionOptions {
  return {
    executionProviders: whole || main === CPU ? [main] : [main, CPU],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    interOpNumThreads: 1,
    intraOpNumThreads: threads,
    // Failures come back as exceptions; the library's own copy on stderr would only say them twice.
    logSeverityLevel: 4,
    // Without it ONNX Runtime runs what a provider has no kernel for on the CPU, and says so in its log at most.
    ...(whole && { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
  }
}

const backends = (): string[] => listSupportedBackends().map(({ name }) => name)

/** Those other than the CPU that this build can be asked for, best first; not each is here. */
export const preferredProviders = (): string[] => PROVIDERS.filter((name) => backends().includes(name))

/** The CPU first, then those that the package brings along, each also with the CPU's help. */
export function bundledProviders(): string[] {
  const bundled = listSupportedBackends().flatMap(({ name, bundled }) => (bundled && name !== CPU ? [name] : []))
  return [CPU, ...bundled.flatMap((name) => [name, `${name}${WITH_CPU}`])]
}

/** `PROVIDER_UNAVAILABLE`, with the reason. */
export function unavailable({ name }: Provider, reason: string, cause?: unknown): Error {
  return errors.PROVIDER_UNAVAILABLE({ provider: name, available: bundledProviders(), reason }, cause)
}

/** Throws `PROVIDER_UNAVAILABLE` for a name that this build of ONNX Runtime does not know. */
export function checkName(provider: Provider): void {
  if (!backends().includes(provider.main))
    throw unavailable(provider, 'this build of onnxruntime-node has none of that name')
}
