import { codeOf, type Runtime, type Session, type TidewayError } from '@tideway/core'
import type { LossGate } from '@tideway/onnx'
import { type Answer, answersOf, fixedRows, pickRows } from './batches.js'
import { createJudge, type Judge, type Judgement } from './judge.js'
import type { Made, Rung } from './ladder.js'
import { type Latency, latenciesOf } from './latency.js'
import type { QuantizeParts, Rows } from './rows.js'
import type { Slim } from './slim.js'

/** A bound is held by a difference of shares that is exactly it, whatever its last bit. */
const ROUNDING = 1e-9
/** Layers that may go back to float one after the other: each takes as long as quantizing the whole model does. */
const MAX_CHOICES = 16
/** Time for each file when it is measured a second time. */
const AGAIN_MS = 1_500

export interface Limits {
  readonly maxLoss: number
  /** How many times the float model's latency a file may take; undefined: any. */
  readonly maxSlowdown?: number | undefined
}

/**
 * How a rung went. `impossible`: the model has nothing of the kind; `skipped`: it could not have done better; `ground`: it is
 * a float model, which the others begin with.
 */
export type Outcome = 'holds' | 'loses' | 'slow' | 'large' | 'impossible' | 'skipped' | 'ground'

export interface Try {
  readonly recipe: string
  readonly what: string
  readonly outcome: Outcome
  readonly reason: string
  readonly bytes?: number
  readonly score?: number
  readonly loss?: number
  readonly latency?: Latency
  /** Of the float model, in turns with this one, and how many times that this one takes. */
  readonly floatLatency?: Latency
  readonly slowdown?: number
  readonly seconds: number
}

export interface Candidate {
  readonly rung: Rung
  readonly made: Made
  readonly judgement: Judgement
  readonly entry: Try
}

export interface Contest {
  readonly judge: Judge
  readonly tries: readonly Try[]
  /** The first that held all limits; undefined where none did. */
  readonly winner: Candidate | undefined
  readonly slim: Slim | undefined
  /** The one that lost least. */
  readonly best: Candidate | undefined
}

interface ContestOrder {
  /** What all are judged against. */
  readonly float: Uint8Array
  /** Makes the float model that is quantized in its place. */
  readonly slim?: { readonly id: string; readonly what: string; make(): Promise<Slim> } | undefined
  readonly parts: QuantizeParts
  readonly runtime: Runtime
  readonly rungs: readonly Rung[]
  readonly limits: Limits
  /** Shows a rung while it is made and measured. */
  readonly during: (line: string, work: () => Promise<Try>) => Promise<Try>
}

/** Tries rungs in their order until one holds the limits on the rows that are held out. */
export async function contest(order: ContestOrder): Promise<Contest> {
  const { float, parts, runtime, rungs, limits } = order
  const session = await runtime.load(float)
  try {
    const judge = await judgeOf(session, parts.heldOut)
    const tries: Try[] = []
    const found: Candidate[] = []
    const slow = new Set<string>()
    const slim = await slimOf(order, judge, tries)
    for (const rung of rungs) {
      const { id: recipe, what } = rung
      if (slow.has(rung.family)) {
        const reason = `it computes as ${rung.family} does, which was too slow`
        tries.push({ recipe, what, outcome: 'skipped', reason, seconds: 0 })
        continue
      }
      const begin = performance.now()
      const gate = gateOf(session, parts, order)
      const entry = await order.during(`${recipe}: ${what}`, async () => {
        const measured = await attempt(rung, order, { judge, gate, base: slim?.onnx ?? float })
        const seconds = Math.round(performance.now() - begin) / 1000
        if (measured.made === undefined) return { recipe, what, ...measured.said, seconds }
        const { made, judgement, latency, floatLatency } = measured
        const { score, loss } = judgement
        const slowdown = Math.round(1000 * latency.ratio) / 1000
        const facts = { bytes: made.onnx.byteLength, score, loss, latency, floatLatency, slowdown, seconds }
        const entry = { recipe, what, ...verdict(facts, float.byteLength, limits), ...facts }
        found.push({ rung, made, judgement, entry })
        return entry
      })
      tries.push(entry)
      if ((entry.slowdown ?? 0) > (limits.maxSlowdown ?? Number.POSITIVE_INFINITY)) slow.add(rung.family)
      if (entry.outcome === 'holds') break
    }
    const winner = found.find(({ entry }) => entry.outcome === 'holds')
    const best = found.toSorted((a, b) => a.judgement.loss - b.judgement.loss)[0]
    return { judge, tries, winner, slim, best }
  } finally {
    await session.dispose()
  }
}

export async function judgeOf(session: Session, rows: Rows): Promise<Judge> {
  return createJudge(await answersOf(session, rows.inputs), rows.targets)
}

/** The model's answers, or why there are none. */
async function answersBy(runtime: Runtime, onnx: Uint8Array, rows: Rows): Promise<readonly Answer[]> {
  const session = await runtime.load(onnx)
  try {
    return await answersOf(session, rows.inputs)
  } finally {
    await session.dispose()
  }
}

class Abandoned extends Error {
  override readonly name = 'Abandoned'
}

interface CountedGate extends LossGate {
  /** How often the loss was measured. */
  readonly choices: number
}

/** The gate of a rung that chooses layers: on rows of its own, and not for ever. */
function gateOf(
  session: Session,
  { choosing }: QuantizeParts,
  { runtime, limits }: Pick<ContestOrder, 'runtime' | 'limits'>,
): CountedGate {
  let judge: Judge | undefined
  let choices = 0
  return {
    maxLoss: limits.maxLoss,
    get choices() {
      return choices
    },
    async measure(onnx) {
      choices += 1
      if (choices > MAX_CHOICES) throw new Abandoned(`${MAX_CHOICES - 1} layers in float were not enough`)
      judge ??= await judgeOf(session, choosing)
      return judge.judge(await answersBy(runtime, onnx, choosing)).loss
    },
  }
}

type Attempted =
  | { readonly made: undefined; readonly said: Pick<Try, 'outcome' | 'reason'> }
  | {
      readonly made: Made
      readonly judgement: Judgement
      readonly latency: Latency
      readonly floatLatency: Latency
    }

const HAS_NO_FORM = new Set(['QUANTIZE_NOTHING', 'QUANTIZE_OPSET_TOO_OLD'])

/** The float model that rungs begin with, where it is another one than is judged against; its figures join the tries. */
async function slimOf(order: ContestOrder, judge: Judge, tries: Try[]): Promise<Slim | undefined> {
  const { slim: asked, float, runtime, parts } = order
  if (asked === undefined) return undefined
  let made: Slim | undefined
  const entry = await order.during(`${asked.id}: ${asked.what}`, async (): Promise<Try> => {
    const begin = performance.now()
    const slim = await asked.make()
    made = slim
    const { score, loss } = judge.judge(await answersBy(runtime, slim.onnx, parts.heldOut))
    const [floatLatency, latency] = await latencyOf(runtime, [float, slim.onnx], parts.heldOut)
    const { from, to } = slim.parameters
    return {
      recipe: asked.id,
      what: slim.what,
      outcome: 'ground',
      reason: `${to} of ${from} numbers are left, and it ${loss <= 0 ? 'loses nothing' : `loses ${loss.toFixed(4)}`}`,
      bytes: slim.onnx.byteLength,
      score,
      loss,
      latency: latency!,
      floatLatency: floatLatency!,
      slowdown: Math.round(1000 * latency!.ratio) / 1000,
      seconds: Math.round(performance.now() - begin) / 1000,
    }
  })
  tries.push(entry)
  return made
}

interface Setting {
  readonly judge: Judge
  readonly gate: CountedGate
  readonly base: Uint8Array
}

async function attempt(rung: Rung, order: ContestOrder, { judge, gate, base }: Setting): Promise<Attempted> {
  const { float, parts, runtime } = order
  try {
    const made = await rung.make({ float: base, whole: float, calibration: parts.calibration.inputs, runtime, gate })
    const judgement = judge.judge(await answersBy(runtime, made.onnx, parts.heldOut))
    const files = [float, made.onnx]
    let [floatLatency, latency] = await latencyOf(runtime, files, parts.heldOut)
    const { maxSlowdown = Number.POSITIVE_INFINITY } = order.limits
    // What else the machine did may have made it slow: a file is passed over for its time only if it is slow twice.
    if (latency!.ratio > maxSlowdown) {
      const again = await latencyOf(runtime, files, parts.heldOut, AGAIN_MS)
      if (again[1]!.ratio < latency!.ratio) [floatLatency, latency] = again
    }
    return { made, judgement, latency: latency!, floatLatency: floatLatency! }
  } catch (error) {
    if (error instanceof Abandoned) return { made: undefined, said: { outcome: 'loses', reason: error.message } }
    // Of one recipe alone the error itself says more.
    if (order.rungs.length === 1 || !HAS_NO_FORM.has(codeOf(error) ?? '')) throw error
    const nothing = 'even with every layer but one in float it loses too much'
    if (gate.choices > 0) return { made: undefined, said: { outcome: 'loses', reason: nothing } }
    return { made: undefined, said: { outcome: 'impossible', reason: whyNot(error as TidewayError) } }
  }
}

/** Why a model has no form of a kind: the first reason of many. */
function whyNot({ message, data }: TidewayError): string {
  const { kept } = data as { kept?: readonly string[] }
  const [first, ...others] = kept ?? []
  if (first === undefined) return message
  return `no layer can be: ${first}${others.length > 0 ? `; and ${others.length} more nodes` : ''}`
}

/** One run of the fewest rows that the model takes. */
export async function latencyOf(
  runtime: Runtime,
  files: readonly Uint8Array[],
  { inputs }: Rows,
  budgetMs?: number,
): Promise<readonly Latency[]> {
  const session = await runtime.load(files[0]!)
  const rows = fixedRows(session.signature) ?? 1
  await session.dispose()
  return latenciesOf(runtime, files, pickRows(inputs, new Int32Array(rows)), budgetMs)
}

type Facts = Required<Pick<Try, 'bytes' | 'loss' | 'slowdown'>>

function verdict(facts: Facts, floatBytes: number, { maxLoss, maxSlowdown }: Limits): Pick<Try, 'outcome' | 'reason'> {
  const { bytes, loss, slowdown } = facts
  if (!(loss <= maxLoss + ROUNDING))
    return { outcome: 'loses', reason: `it loses ${loss.toFixed(4)}, above ${maxLoss}` }
  if (bytes >= floatBytes) return { outcome: 'large', reason: 'the file is no smaller than the float one' }
  if (maxSlowdown !== undefined && slowdown > maxSlowdown)
    return {
      outcome: 'slow',
      reason: `it takes ${slowdown.toFixed(2)} times the float model's time, above ${maxSlowdown}`,
    }
  const most = (limit: number | undefined) =>
    limit === undefined || !Number.isFinite(limit) ? '' : ` (at most ${limit})`
  const lost = loss <= 0 ? 'loses nothing' : `loses ${loss.toFixed(4)}`
  const parts = [
    `${lost}${most(maxLoss)}`,
    'is smaller',
    `takes ${slowdown.toFixed(2)} times the time${most(maxSlowdown)}`,
  ]
  return { outcome: 'holds', reason: parts.join(', ') }
}
