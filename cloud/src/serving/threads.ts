import { availableParallelism } from 'node:os'
import type { Runtime, Session, Tensor, TensorSpec, Tensors } from '@tideway/core'
import { arrayClasses, elementCount } from '@tideway/core/serving'

/** How the threads of a budget are shared out: so many runs at once, each with so many threads inside one operator. */
export interface ThreadPlan {
  readonly parallel: number
  readonly intraOpThreads: number
}

/** How long each plan is tried. */
const TRIAL_MS = 50
/** Runs that take less are not shared out: the threads that wait for the next one would take the cores from all the rest. */
const WORTH_SHARING_MS = 1
/** What twice the threads must give at least, in runs a second. */
const LEAST_GAIN = 1.3

/**
 * Loads a model with the plan under which it answers the most requests a second, found by running it: more threads inside
 * of an operator help a large network, and for a small one they only keep cores busy on which requests are read. Runs at once
 * help where a runtime has threads of its own for them; ONNX Runtime's binding for Node runs on the thread that calls it. The
 * runs go before the first request, so they warm it up, too. A model that does not take zeros is not measured.
 */
export async function loadFastest(
  runtime: Pick<Runtime, 'load'>,
  bytes: Uint8Array,
  budget: number = availableParallelism(),
): Promise<{ readonly session: Session; readonly plan: ThreadPlan }> {
  const [first, ...others] = plansFor(budget) as [ThreadPlan, ...ThreadPlan[]]
  let session = await runtime.load(bytes, { intraOpThreads: first.intraOpThreads })
  let best = { plan: first, pace: await paceOf(session, first.parallel) }
  if (best.pace === undefined || best.pace.runMs < WORTH_SHARING_MS) return { session, plan: first }
  let loaded = first
  for (const plan of others) {
    // One at a time: two of a large model may not fit.
    await session.dispose()
    session = await runtime.load(bytes, { intraOpThreads: plan.intraOpThreads })
    loaded = plan
    const pace = await paceOf(session, plan.parallel)
    const doublings = Math.log2(plan.intraOpThreads / best.plan.intraOpThreads)
    if ((pace?.perSecond ?? 0) > (best.pace?.perSecond ?? 0) * LEAST_GAIN ** doublings) best = { plan, pace }
  }
  if (loaded !== best.plan) {
    await session.dispose()
    session = await runtime.load(bytes, { intraOpThreads: best.plan.intraOpThreads })
    await paceOf(session, 1, 0)
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

interface Pace {
  readonly perSecond: number
  /** Of the fastest run. */
  readonly runMs: number
}

/** With so many runs at once; undefined where the model fails on zeros. Ends early where a run is too short to be shared. */
async function paceOf(session: Session, parallel: number, ms = TRIAL_MS): Promise<Pace | undefined> {
  const inputs: Tensors = Object.fromEntries(session.signature.inputs.map((spec) => [spec.name, zeros(spec)]))
  try {
    await session.run(inputs)
    const began = performance.now()
    let runs = 0
    let runMs = Number.POSITIVE_INFINITY
    const loop = async (): Promise<void> => {
      do {
        const start = performance.now()
        await session.run(inputs)
        runMs = Math.min(runMs, performance.now() - start)
        runs++
      } while (runMs >= WORTH_SHARING_MS && performance.now() - began < ms)
    }
    await Promise.all(Array.from({ length: parallel }, loop))
    return { perSecond: runs / ((performance.now() - began) / 1000), runMs }
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
