import type { InferContext, Serving } from '../contracts/cloud.js'
import type { VersionRecord } from '../contracts/store.js'
import type { Tensors } from '../contracts/tensor.js'
import { codeOf } from '../errors/error.js'
import type { InferAnswer } from './answer.js'
import type { Statistics } from './statistics.js'
import type { InferTarget } from './target.js'

/** What every form of the protocol asks for: inputs, and in how many milliseconds they are to be answered. */
export interface Asked {
  readonly inputs: Tensors
  readonly timeoutMs?: number | undefined
}

/** One form of the protocol: how a request becomes tensors, and tensors an answer. */
export interface InferForm<R extends Asked, A> {
  decode(): R | Promise<R>
  /** `unit`: by which the outcome of the request is reported, under an A/B test. */
  encode(answer: InferAnswer, request: R, unit: string | undefined): A
  /** Of the bodies, where it knows. */
  readonly bytesIn?: number
  bytesOut?(answer: A): number
}

/**
 * Runs one inference request of any form of the protocol, and counts it: every door to the models is the same one behind its
 * own decoding and encoding. In statistics, what is refused while it is read is not counted, and what was read and not answered
 * counts as failed; in metrics, everything does. In a span of the context, the steps are spans.
 * Throws what the form and the serving throw.
 *
 * @example
 * const body = await runMeasured({ serving, statistics }, { model: 'digits' }, {
 *   decode: () => decodeInferRequest(bytes),
 *   encode: encodeInferAnswer,
 * })
 */
export async function runMeasured<R extends Asked, A>(
  { serving, statistics }: { readonly serving: Serving; readonly statistics: Statistics },
  { model, version: wanted }: InferTarget,
  form: InferForm<R, A>,
  context?: InferContext,
): Promise<A> {
  const { observer } = statistics
  let found: VersionRecord | undefined
  let running = false
  observer.began()
  const began = performance.now()
  try {
    const decoding = form.decode()
    const request = decoding instanceof Promise ? await decoding : decoding
    const decoded = performance.now()
    running = true
    const limits = within(context, request.timeoutMs, began)
    const { version, outputs, timing, unit } = await serving.infer(model, wanted, request.inputs, limits)
    running = false
    const ran = performance.now()
    const name = String(version.version)
    const answered = form.encode({ model, version: name, outputs }, request, unit)
    const ended = performance.now()
    statistics.of(model, name).succeeded({
      rows: timing?.rows ?? 1,
      batchSize: timing?.batchSize ?? 1,
      leads: timing?.leads ?? true,
      totalNs: nanoseconds(ended - began),
      queueNs: timing?.queueNs,
      inputNs: nanoseconds(decoded - began),
      inferNs: timing?.runNs ?? nanoseconds(ran - decoded),
      outputNs: nanoseconds(ended - ran),
      cache: timing?.cache,
    })
    observer.answered({
      version,
      timing,
      beganMs: began,
      decodedMs: decoded,
      ranMs: ran,
      endedMs: ended,
      bytesIn: form.bytesIn,
      bytesOut: form.bytesOut?.(answered),
      span: context?.span,
    })
    return answered
  } catch (error) {
    const totalNs = nanoseconds(performance.now() - began)
    // A model that is not there has no statistics, and no metrics of its own: a client may ask for any name.
    found = await versionOf(serving, model, wanted, running)
    if (running && found) statistics.of(model, String(found.version)).failed(totalNs)
    observer.failed(codeOf(error) ?? 'INTERNAL', found)
    throw error
  } finally {
    observer.ended()
  }
}

/**
 * Undefined for a model that is not there. Where it can be told without loading it, a request that was refused costs no more than
 * that; where it cannot, only one that was to run (`loads`) may.
 */
async function versionOf(
  serving: Serving,
  model: string,
  wanted: string | undefined,
  loads: boolean,
): Promise<VersionRecord | undefined> {
  try {
    if (serving.versionOf) return await serving.versionOf(model, wanted)
    return loads ? (await serving.metadata(model, wanted)).version : undefined
  } catch {
    return undefined
  }
}

/** The context with a time-out that the request itself gave, where that is shorter. */
function within(context: InferContext | undefined, timeoutMs: number | undefined, began: number) {
  if (timeoutMs === undefined) return context
  return { ...context, deadlineMs: Math.min(context?.deadlineMs ?? Number.POSITIVE_INFINITY, began + timeoutMs) }
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
