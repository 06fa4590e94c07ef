import { answerNoRows, codeOf, firstLine, guardSession, type Session, errors as shared, Unusable } from '@tideway/core'
import { startBackend } from './backends/choose.js'
import { cpu } from './backends/cpu.js'
import { BACKENDS, backendNamed } from './backends/table.js'
import { errors } from './errors.js'
import type { ModelFile } from './format/read.js'
import { loadGraph } from './model/graph.js'
import { loadLayers } from './model/layers.js'
import { runModel } from './model/run.js'
import { describe } from './model/signature.js'

/** Those that may be here, the preferred one first. */
export function listedProviders(order: readonly string[], failed: ReadonlySet<string>): string[] {
  return order.filter((name) => !failed.has(name) && backendNamed(name)?.mayBeHere() === true)
}

/**
 * Loads a model on one backend. Throws `Unusable` when it is not here or cannot take the model, `MODEL_INVALID` when none
 * could, `TFJS_THREADS_UNAVAILABLE`.
 */
export async function loadOn(name: string, file: ModelFile, threads: number | undefined): Promise<Session> {
  const backend = backendNamed(name)
  if (backend === undefined)
    throw new Unusable(
      `TensorFlow.js has none of that name here; there may be ${BACKENDS.map((b) => b.name).join(', ')}`,
      false,
    )
  if (threads !== undefined && threads > backend.maxThreads)
    throw errors.TFJS_THREADS_UNAVAILABLE({ backend: name, threads, available: backend.maxThreads })
  await startBackend(backend, threads).catch((cause: unknown) => {
    throw cause instanceof Unusable
      ? new Unusable(`${cause.message} (get it: ${backend.get})`, cause.ofModel, cause)
      : cause
  })
  try {
    return await place(file, backend.engine)
  } catch (cause) {
    // What the file itself says is as wrong elsewhere.
    if (codeOf(cause) !== undefined) throw cause
    if (name !== cpu.name && (await loadsOnCpu(file))) throw new Unusable(firstLine(cause), true, cause)
    throw shared.MODEL_INVALID({ reason: firstLine(cause) }, cause)
  }
}

async function place(file: ModelFile, engine: string): Promise<Session> {
  const model = await (file.format === 'graph-model' ? loadGraph : loadLayers)(file, engine)
  try {
    const signature = await describe(model)
    return guardSession({
      signature,
      // A kernel that takes none of TensorFlow.js's reduces or convolves over nothing.
      run: async (inputs) => answerNoRows(signature, inputs) ?? (await runModel(model, inputs)),
      release: async () => model.dispose(),
    })
  } catch (cause) {
    model.dispose()
    throw cause
  }
}

/** In plain JavaScript, which has every kernel: what fails there fails everywhere. */
async function loadsOnCpu(file: ModelFile): Promise<boolean> {
  try {
    await startBackend(cpu)
    await (await place(file, cpu.engine)).dispose()
    return true
  } catch {
    return false
  }
}
