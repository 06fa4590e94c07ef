import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type Provider, sessionOptions } from './provider.js'

interface ProfiledEvent {
  readonly cat?: string
  readonly args?: { readonly provider?: string; readonly op_name?: string }
}

const ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
} as const

/** Zeros for every input of a session; free sizes are 1. */
export function zerosFor({ inputMetadata }: InferenceSession): Record<string, Tensor> {
  return Object.fromEntries(
    inputMetadata.map((input) => {
      if (!input.isTensor || !(input.type in ARRAYS)) throw new TypeError(`"${input.name}" is none of a training graph`)
      const shape = input.shape.map((size) => (typeof size === 'number' ? size : 1))
      const zeros = new ARRAYS[input.type as 'float32'](shape.reduce((product, size) => product * size, 1))
      return [input.name, new Tensor(input.type as 'float32', zeros as Float32Array, shape)]
    }),
  )
}

/**
 * The operators of a model that run on the CPU where a provider may have its help: ONNX Runtime says it only in the
 * profile of a run. Sorted; throws what the session throws.
 */
export async function operatorsOnCpu(model: Uint8Array, provider: Provider, threads: number): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-profile-'))
  try {
    const session = await InferenceSession.create(model, {
      ...sessionOptions({ ...provider, whole: false }, threads),
      enableProfiling: true,
      profileFilePrefix: join(folder, 'run'),
    })
    try {
      await session.run(zerosFor(session))
      session.endProfiling()
    } finally {
      await session.release()
    }
    const [file] = await readdir(folder)
    const events = JSON.parse(await readFile(join(folder, file ?? ''), 'utf8')) as ProfiledEvent[]
    const onCpu = events.filter(({ cat, args }) => cat === 'Node' && args?.provider === 'CPUExecutionProvider')
    return [...new Set(onCpu.flatMap(({ args }) => args?.op_name ?? []))].sort()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
