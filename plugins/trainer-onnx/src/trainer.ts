import {
  type FallbackOptions,
  layerTypes,
  loadOnFirst,
  type TrainContext,
  type TrainedModel,
  type Trainer,
  type TrainJob,
} from '@tideway/core'
import { checkData, fitPhase, jobDigest, type TrainEngine, teacherOf, trainableIn } from '@tideway/training'
import { fitAware } from './aware/phases.js'
import { channelBlock } from './block.js'
import { Engine, isSmall } from './engine.js'
import { fittingThreads, notesOn, orderOf } from './providers/choose.js'
import { ProviderEngine } from './providers/engine.js'
import { bundledProviders, CPU, providerOf } from './providers/provider.js'

export interface OnnxTrainerOptions {
  /** Threads inside one operator; a job's context may say otherwise. Left out: one per core, at most 2 for small steps, else 8. */
  readonly threads?: number
  /**
   * `cpu` (default); `webgpu`, `cuda`, `coreml` or `dml`, which take a job's graphs as a whole or not at all; one of these
   * with `+cpu`, which runs operators on the CPU that it has no kernel for; or `auto`: the first of all that is here and
   * trains faster than the CPU in a self-test. A job's context may say otherwise.
   */
  readonly provider?: string
  /** Left out: a provider that cannot train a job is an error. */
  readonly fallback?: FallbackOptions
}

/**
 * A `Trainer` that writes forward pass, loss, backward pass and optimizer step as one ONNX graph and runs it with
 * ONNX Runtime, several steps of a small network to one `session.run`. Throws what a `Trainer` throws, and
 * `PROVIDER_UNAVAILABLE` with the reason for a provider that cannot train the job, unless `fallback` says where to go
 * instead and takes that reason.
 *
 * @example
 * const trainer = createOnnxTrainer({ provider: 'webgpu', fallback: { to: ['cpu'], onFallback: console.warn } })
 * const { onnx, metrics, notes } = await trainer.fit(job, { train: { inputs, targets } })
 */
export function createOnnxTrainer(options: OnnxTrainerOptions = {}): Trainer {
  return {
    name: 'onnx',
    flags: { layers: layerTypes, providers: bundledProviders() },
    fit: (job, context) => fit(options, job, context),
  }
}

async function fit(options: OnnxTrainerOptions, job: TrainJob, context: TrainContext): Promise<TrainedModel> {
  const { network, notes } = trainableIn(job, context.base)
  checkData(job, network, context.train, context.validation)
  const digest = jobDigest(job, context.base, context.teacher)
  const order = await orderOf(context.provider ?? options.provider ?? CPU, options.fallback)
  const asked = context.threads ?? options.threads
  const threads = (multiplications: number): number => asked ?? fittingThreads(isSmall(multiplications))
  const block = await channelBlock()
  const teacher = teacherOf(job, context.teacher, network)
  return fitAware({ job, network, notes, context }, async (phase) => {
    let where: string[] = []
    const trained = await fitPhase(phase, digest, async (plan): Promise<TrainEngine> => {
      const { loaded, ...placed } = await loadOnFirst(order.first, order.fallback, async (name) => {
        if (name === CPU) return new Engine({ ...plan, threads, block, teacher })
        const threadsBeside = asked ?? fittingThreads(false)
        return ProviderEngine.open({ ...plan, provider: providerOf(name), threads: threadsBeside, teacher })
      })
      where = notesOn(order, placed, loaded instanceof ProviderEngine ? loaded.onCpu : [])
      return loaded
    })
    return { ...trained, notes: [...(trained.notes ?? []), ...where] }
  })
}
