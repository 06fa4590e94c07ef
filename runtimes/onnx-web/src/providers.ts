import { codeOf, createOrtSession, firstLine, type Session, errors as shared, Unusable } from '@tideway/core/runtime'
import type { InferenceSession } from 'onnxruntime-web'
import { engines } from '#engines'
import { type EngineOptions, openEngine } from './engine.js'
import type { Build } from './engines/engines.js'

/** How a provider is asked of ONNX Runtime. */
interface Provider {
  readonly build: Build | undefined
  readonly names: readonly string[]
  /** Whether every operator has to run on it; else those that it lacks run in WebAssembly. */
  readonly whole: boolean
}

/** `webgpu` takes a model as a whole or not at all; `webgpu+wasm` runs what WebGPU lacks in WebAssembly. */
export const PROVIDERS: Readonly<Record<string, Provider>> = {
  wasm: { build: engines.wasm, names: ['wasm'], whole: true },
  webgpu: { build: engines.webgpu, names: ['webgpu'], whole: true },
  'webgpu+wasm': { build: engines.webgpu, names: ['webgpu', 'wasm'], whole: false },
}

/** Those that may be here: whether a GPU answers is known only once it is asked. */
export function listedProviders(): string[] {
  const gpu = typeof navigator !== 'undefined' && 'gpu' in navigator
  return Object.entries(PROVIDERS).flatMap(([name, { build, names }]) =>
    build !== undefined && (gpu || !names.includes('webgpu')) ? [name] : [],
  )
}

export interface Loaded {
  readonly session: Session
  readonly threads: number
}

/**
 * Loads a model on one provider. Throws `Unusable` when the provider is not here or cannot take the model,
 * `MODEL_INVALID` when nothing could, and what `openEngine` throws.
 */
export async function loadOn(name: string, bytes: Uint8Array, options: EngineOptions): Promise<Loaded> {
  const provider = PROVIDERS[name]
  if (provider?.build === undefined) throw new Unusable('this runtime has none of that name here', false)
  const isGpu = provider.build.provider === 'webgpu'
  const { ort, threads, serial } = isGpu
    ? await openGpu(provider.build, options)
    : await openEngine(provider.build, options)
  const create = (names: readonly string[], whole: boolean): Promise<InferenceSession> =>
    serial(() => ort.InferenceSession.create(bytes, sessionOptions(names, whole)))
  const native = await create(provider.names, provider.whole).catch(async (cause: unknown) => {
    const onWasm = isGpu ? await create(['wasm'], false).catch(() => undefined) : undefined
    if (onWasm === undefined) throw shared.MODEL_INVALID({ reason: firstLine(cause) }, cause)
    await serial(() => onWasm.release())
    throw new Unusable(firstLine(cause), true, cause)
  })
  const session = await createOrtSession(
    {
      inputMetadata: native.inputMetadata,
      outputMetadata: native.outputMetadata,
      run: (feeds: Record<string, InstanceType<typeof ort.Tensor>>) => serial(() => native.run(feeds)),
      release: () => serial(() => native.release()),
    },
    ({ dtype, data, shape }) => new ort.Tensor(dtype, data, shape),
  )
  return { session, threads }
}

function sessionOptions(names: readonly string[], whole: boolean): InferenceSession.SessionOptions {
  return {
    executionProviders: [...names],
    logSeverityLevel: 4,
    // Without it ONNX Runtime runs what a provider has no kernel for in WebAssembly, and says so in its log at most.
    ...(whole && !names.includes('wasm') && { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
  }
}

/** The little of WebGPU's API that is asked here; its types are in no library of the compiler yet. */
interface Gpu {
  requestAdapter(): Promise<object | null>
}

/** The engine with WebGPU; the adapter is asked for before its file is loaded, which is 27 MB. */
async function openGpu(build: Build, options: EngineOptions): ReturnType<typeof openEngine> {
  const gpu = typeof navigator === 'undefined' ? undefined : (navigator as { readonly gpu?: Gpu }).gpu
  if (gpu === undefined) throw new Unusable('this page has no WebGPU (which needs HTTPS or localhost, too)', false)
  if ((await gpu.requestAdapter()) === null) throw new Unusable('the browser gives no adapter', false)
  try {
    return await openEngine(build, options)
  } catch (cause) {
    throw codeOf(cause) === 'RUNTIME_UNAVAILABLE' ? new Unusable(firstLine(cause), false, cause) : cause
  }
}
