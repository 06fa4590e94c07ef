import { availableParallelism } from 'node:os'
import {
  arrayClasses,
  elementCount,
  type Runtime,
  type Session,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '@tideway/core'

/** How the threads of a budget are shared out: so many runs at once, each with so many threads inside one operator. */
export interface ThreadPlan {
  readonly parallel: number
  readonly intraOpThreads: number
}

/** How long each plan is tried. */
const TRIAL_MS = 50

/**
 * Loads a model with the plan under which it answers the most requests a second, found by running it: more threads inside
 * of an operator help a large network and hold up a small one. Runs at once help where a runtime has threads of its own for
 * them; ONNX Runtime's binding for Node runs on the thread that calls it. The runs go before the first request, so they
 * warm it up, too. A model that does not take zeros is not measured.
 */
export async function loadFastest(
  runtime: Pick<Runtime, 'load'>,
  bytes: Uint8Array,
  budget: number = availableParallelism(),
): Promise<{ readonly session: Session; readonly plan: ThreadPlan }> {
  const plans = plansFor(budget)
  const [first, ...others] = plans as [ThreadPlan, ...ThreadPlan[]]
  let session = await runtime.load(bytes, { intraOpThreads: first.intraOpThreads })
  let best = { plan: first, perSecond: await perSecond(session, first.parallel) }
  if (best.perSecond === undefined) return { session, plan: first }
  let loaded = first
  for (const plan of others) {
    // One at a time: two of a large model may not fit.
    await session.dispose()
    session = await runtime.load(bytes, { intraOpThreads: plan.intraOpThreads })
    loaded = plan
    const measured = await perSecond(session, plan.parallel)
    if ((measured ?? 0) > (best.perSecond ?? 0)) best = { plan, perSecond: measured }
  }
  if (loaded !== best.plan) {
    await session.dispose()
    session = await runtime.load(bytes, { intraOpThreads: best.plan.intraOpThreads })
    await perSecond(session, 1, 0)
  }
  return { session, plan: best.plan }
}

/** One thread each first: where nothing is gained by more, the fewest. */
function plansFor(budget: number): ThreadPlan[] {
  const plans = [1, ...(budget >= 4 ? [2] : []), budget]
  return [...new Set(plans)].map((intraOpThreads) => ({
    intraOpThreads,
    parallel: Math.max(1, Math.floor(budget / intraOpThreads)),
  }))
}

/** Runs a second with so many at once; undefined where the model fails on zeros. */
async function perSecond(session: Session, parallel: number, ms = TRIAL_MS): Promise<number | undefined> {
  const inputs: Tensors = Object.fromEntries(session.signature.inputs.map((spec) => [spec.name, zeros(spec)]))
  try {
    await session.run(inputs)
    const began = performance.now()
    let runs = 0
    const loop = async (): Promise<void> => {
      do {
        await session.run(inputs)
        runs++
      } while (performance.now() - began < ms)
    }
    await Promise.all(Array.from({ length: parallel }, loop))
    return runs / (performance.now() - began)
  } catch {
    return undefined
  }
}

/** One row; sizes that are free are 1. */
function zeros({ dtype, shape }: TensorSpec): Tensor {
  const sizes = shape.map((size) => size ?? 1)
  if (dtype === 'string') return { dtype, shape: sizes, data: Array.from({ length: elementCount(sizes) }, () => '') }
  return { dtype, shape: sizes, data: new arrayClasses[dtype](elementCount(sizes)) } as Tensor
}
