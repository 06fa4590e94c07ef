import { basename, extname } from 'node:path'
import type { Runtime, Scheme } from '@tideway/core'
import { checkCalibration, graphOf, missingIn, readModel, signatureOf, viewOf } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { modelBytes } from '../config/model-file.js'
import { cloudErrors } from '../errors.js'
import type { ImageShape } from '../finetune/rows.js'
import { rowCount, rowsHeld } from './batches.js'
import { type Aim, AWARE, awareRung, ladderOf, type Made, type Rung, rungOf } from './ladder.js'
import { machine } from './latency.js'
import { layerErrors } from './layers.js'
import { checkTraining, lessonsOf } from './lessons.js'
import { type QuantizationReport, reportOf } from './report.js'
import type { Lessons } from './retrain.js'
import { fewestRows, partsOf, type QuantizeParts, type Rows, readRows } from './rows.js'
import { contest, type Try } from './search.js'
import { type Importance, slimmed } from './slim.js'

/** The gate of `auto`: as much of the score may be lost. */
export const DEFAULT_MAX_LOSS = 0.005
/** As many times the float model's latency a run may take with `auto`: where others work, timing is not finer. */
const MAX_SLOWDOWN = 1.1

/** A scheme; `int8-aware`, which trains; or what holds first. */
export type RecipeName = Scheme | typeof AWARE | 'auto'

export interface QuantizeOrder {
  readonly file: string
  readonly recipe: RecipeName
  readonly calibrate?: string | undefined
  readonly data?: string | undefined
  readonly aim: Aim
  readonly maxLoss?: number | undefined
  readonly maxSlowdown?: number | undefined
  readonly image?: ImageShape | undefined
  readonly target?: readonly string[] | undefined
  readonly scale?: number | undefined
  readonly labels: boolean
  /** The share of channels to remove first. */
  readonly prune?: number | undefined
  readonly importance?: Importance | undefined
  /** Rows to train on, where something is to be trained. */
  readonly train?: string | undefined
  readonly epochs?: number | undefined
  readonly learningRate?: number | undefined
  readonly calibrationRows: number
  readonly heldOutRows: number
  readonly seed: number
  readonly during: (line: string, work: () => Promise<Try>) => Promise<Try>
}

export interface QuantizedFile {
  readonly made: Made
  readonly report: QuantizationReport
}

/**
 * Makes a model of a file smaller and measures what that cost. Throws `QUANTIZE_LOSS_TOO_HIGH` when no recipe holds the
 * gate, `QUANTIZE_ORDER_INVALID`, `DATA_INVALID`, and what reading and quantizing throw.
 */
export async function quantizeFile(order: QuantizeOrder): Promise<QuantizedFile> {
  const { file } = order
  checkTraining(order)
  const float = await modelBytes(file)
  const model = readModel(float)
  const signature = signatureOf(model)
  if (order.calibrate === undefined && order.data === undefined) return unjudged(order, float)
  const given = await readRows({ ...order, path: (order.calibrate ?? order.data)!, signature })
  const held =
    order.calibrate === undefined || order.data === undefined
      ? undefined
      : await readRows({ ...order, path: order.data, signature })
  checkClasses(given.classes, held?.classes)
  const lessons = await lessonsOf(order, signature)
  checkClasses(lessons?.rows.classes, (held ?? given).classes, '--train', held === undefined ? '--calibrate' : '--data')
  const mayMiss = missingIn(viewOf(graphOf(model)))
  // Every row, the held-out ones too, before any work starts.
  for (const rows of [given, held]) if (rows !== undefined) checkCalibration(signature, rows.inputs, mayMiss)
  const runtime = createOnnxNodeRuntime()
  const fixed = fewestRows(signature)
  const heldOut = Math.min(order.heldOutRows, await rowsOfFloat(float, given, runtime))
  const sizes = { calibration: order.calibrationRows, heldOut }
  // Where nothing calibrates, all rows may judge.
  const rungs = rungsOf(order, lessons)
  const spare = rungs.some(({ calibrates }) => calibrates) ? undefined : given
  const parts = partsOf(given, held ?? spare, sizes, order.seed, fixed)
  return judged(order, float, { parts, runtime, from: held ?? given, rungs, lessons })
}

function rungsOf({ recipe, aim }: QuantizeOrder, lessons: Lessons | undefined): readonly Rung[] {
  if (recipe === 'auto') return ladderOf(aim, lessons)
  return [recipe === AWARE ? awareRung(lessons!) : rungOf(recipe)]
}

/** Both number their classes in the order of their own names: only the same names have the same numbers. */
function checkClasses(
  some: readonly string[] = [],
  others: readonly string[] = [],
  someName = '--calibrate',
  othersName = '--data',
): void {
  if (some.length === 0 || others.length === 0) return
  const missing = (from: readonly string[], fromName: string, to: readonly string[], toName: string) =>
    from.filter((name) => !to.includes(name)).map((name) => `class ${name}: in ${fromName}, not in ${toName}`)
  const issues = [...missing(others, othersName, some, someName), ...missing(some, someName, others, othersName)]
  if (issues.length === 0 && some.some((name, at) => name !== others[at]))
    issues.push(`the classes of ${someName} and ${othersName} are in another order`)
  if (issues.length > 0) throw cloudErrors.DATA_INVALID({ issues })
}

/** Weights alone, without rows: what it costs is not known, and the report says so. */
async function unjudged(order: QuantizeOrder, float: Uint8Array): Promise<QuantizedFile> {
  const { file, recipe } = order
  const issues: string[] = []
  if (recipe === 'auto' || recipe === 'int8-static')
    issues.push(
      `--recipe ${recipe} needs rows: name them with --calibrate, or take one of weights alone, as int8-weights`,
    )
  const aboutRows = {
    '--max-loss': order.maxLoss !== undefined,
    '--max-slowdown': order.maxSlowdown !== undefined,
    '--target': order.target !== undefined,
    '--image': order.image !== undefined,
    '--scale': order.scale !== undefined,
    '--no-labels': !order.labels,
  }
  for (const [option, isGiven] of Object.entries(aboutRows))
    if (isGiven) issues.push(`${option} needs rows to judge by: name them with --calibrate or --data`)
  if (issues.length > 0) throw cloudErrors.QUANTIZE_ORDER_INVALID({ issues })
  const rung = rungOf(recipe as Scheme)
  const runtime = createOnnxNodeRuntime()
  const unused = { maxLoss: 0, measure: () => Promise.resolve(0) }
  const made = await rung.make({ float, whole: float, calibration: {}, runtime, gate: unused })
  // What no engine can load is not written.
  await (await runtime.load(made.onnx)).dispose()
  const notes = ['No rows were given: what the recipe costs was not measured']
  return { made, report: reportOf({ model: nameOf(file), recipe: rung.id, float, made, layers: [], notes }) }
}

/** As many rows as have outputs that fit into memory; the model runs here for the first time. */
async function rowsOfFloat(float: Uint8Array, { inputs }: Rows, runtime: Runtime): Promise<number> {
  const session = await runtime.load(float)
  try {
    return await rowsHeld(session, inputs)
  } finally {
    await session.dispose()
  }
}

interface Bench {
  readonly parts: QuantizeParts
  readonly runtime: Runtime
  /** What names the classes. */
  readonly from: Rows
  readonly rungs: readonly Rung[]
  readonly lessons: Lessons | undefined
}

async function judged(
  order: QuantizeOrder,
  float: Uint8Array,
  { parts, runtime, from, rungs, lessons }: Bench,
): Promise<QuantizedFile> {
  const { recipe, aim, file, prune, importance = 'norm' } = order
  const isAuto = recipe === 'auto'
  const maxLoss = order.maxLoss ?? (isAuto ? DEFAULT_MAX_LOSS : Number.POSITIVE_INFINITY)
  const maxSlowdown = order.maxSlowdown ?? (isAuto && aim === 'speed' ? MAX_SLOWDOWN : undefined)
  const { during } = order
  const slimming = { float, importance, rows: parts.calibration, lessons, runtime }
  const { judge, tries, winner, best, slim } = await contest({
    float,
    slim:
      prune === undefined
        ? undefined
        : {
            id: 'float-pruned',
            what: `without ${100 * prune}% of its channels`,
            make: () => slimmed({ ...slimming, share: prune }),
          },
    parts,
    runtime,
    rungs,
    limits: { maxLoss, maxSlowdown },
    during,
  })
  // A recipe that a person names, and sets no limits to, is what they get.
  const chosen = winner ?? (isAuto || Number.isFinite(maxLoss) || order.maxSlowdown !== undefined ? undefined : best)
  if (chosen === undefined) {
    const loss = best?.judgement.loss
    const isKnown = loss !== undefined && Number.isFinite(loss)
    throw cloudErrors.QUANTIZE_LOSS_TOO_HIGH({
      maxLoss,
      best: bestOf(tries, best?.entry),
      loss: isKnown ? loss : null,
      tries,
    })
  }
  const { made, judgement, entry, rung } = chosen
  const layers = made.layers ?? (await layerErrors(slim?.onnx ?? float, made.onnx, parts.heldOut.inputs, runtime))
  const limit = Number.isFinite(maxLoss) ? { maxLoss } : {}
  const report = reportOf({
    model: nameOf(file),
    recipe: rung.id,
    float,
    made,
    judged: {
      judge,
      judgement,
      ...(rung.calibrates && { calibrationRows: rowCount(parts.calibration.inputs) }),
      ...limit,
    },
    classNames: from.classes,
    latency: {
      float: entry.floatLatency!,
      small: entry.latency!,
      ratio: entry.slowdown!,
      machine: machine(),
      engine: `${runtime.name} (cpu)`,
    },
    layers,
    tries,
    ...(slim && { pruned: { parameters: slim.parameters, layers: slim.layers, kept: slim.kept } }),
    notes: from.notes,
  })
  return { made, report }
}

const nameOf = (file: string): string => basename(file, extname(file))

function bestOf(tries: readonly Try[], best: Try | undefined): string {
  if (best !== undefined) return `the best is ${best.recipe}, and ${best.reason}`
  return tries[0] === undefined ? 'there is none' : `${tries[0].recipe}: ${tries[0].reason}`
}
