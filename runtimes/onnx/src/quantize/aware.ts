import type { Runtime, Tensors } from '@tideway/core'
import { cleanUp } from '../cleanup/cleanup.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import { writeModel } from '../format/write.js'
import { checkCalibration } from './calibrate.js'
import { missingIn } from './missing.js'
import { refuseNothing, refuseUnfit } from './quantizer.js'
import { channelMoments } from './static/channel-moments.js'
import { observe } from './static/observe.js'
import { movesIntegers, planOf } from './static/plan.js'
import type { ValueRange } from './static/ranges.js'
import { someRows } from './static/rows.js'
import type { Step } from './static/steps.js'
import { type GraphView, viewOf } from './view.js'

/** A tensor that the quantizer will carry as integers, and which is rounded so while training. */
export interface RoundedTensor {
  readonly name: string
  /** Tensors of one group have one range. */
  readonly group: string
  /** Whether its values are all of those that the group's range is to hold: not those that others of it move or join. */
  readonly isSource: boolean
  /** The first outputs of the nodes that take it as integers; undefined where all that reads it sees it rounded. */
  readonly readers?: readonly string[]
}

/** A stored weight that the quantizer will make integer, with a scale for each place of `axis`. */
export interface RoundedWeight {
  readonly name: string
  readonly axis: 0 | 1
}

/** A layer into which batch normalization was folded: it can be normalized again while it is trained. */
export interface NormalizedLayer {
  /** Its result, before any activation. */
  readonly output: string
  /** Initializers that no other node takes. */
  readonly weight: string
  readonly bias: string
  /** Of each channel of the result over the calibration rows; the variance is the biased one. */
  readonly mean: Float64Array
  readonly variance: Float64Array
}

/** A float model as quantization-aware training takes it. */
export interface AwareModel {
  /** Cleaned up as the quantizer does it: batch normalization folded with its running statistics, dropout gone. */
  readonly onnx: Uint8Array
  readonly tensors: readonly RoundedTensor[]
  readonly weights: readonly RoundedWeight[]
  readonly normalized: readonly NormalizedLayer[]
  /** What the tensors of each group held over the calibration rows: where its range begins. */
  readonly ranges: ReadonlyMap<string, ValueRange>
  /** Why parts stay in float. */
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
}

/** Rows that ranges begin with: they move on while training. */
const CALIBRATION_ROWS = 256

/**
 * Where static int8 (`createInt8Quantizer`) will round a model, so that training can: with the same clean-up and the same
 * plan. The model that is trained must keep its nodes and names.
 *
 * Throws what the quantizer throws before work starts: `MODEL_INVALID`, `MODEL_ALREADY_QUANTIZED`,
 * `QUANTIZE_OPSET_TOO_OLD`, `QUANTIZE_NOTHING` and `CALIBRATION_INVALID`.
 *
 * @example
 * const { onnx, tensors, weights, ranges } = await awareModel(bytes, { x: rows }, runtime)
 */
export async function awareModel(bytes: Uint8Array, calibration: Tensors, runtime: Runtime): Promise<AwareModel> {
  const model = readModel(bytes)
  refuseUnfit(model)
  const normalizations = new Set(
    graphOf(model).node.flatMap(({ opType, output }) => (opType === 'BatchNormalization' ? output.slice(0, 1) : [])),
  )
  await cleanUp(model, runtime)
  const graph = graphOf(model)
  const view = viewOf(graph)
  const plan = planOf(view)
  refuseNothing(plan)
  const signature = signatureOf(model)
  checkCalibration(signature, calibration, missingIn(view))
  const rows = someRows(signature, calibration, CALIBRATION_ROWS)
  const { histograms } = await observe({ ...model, graph }, plan, signature, rows, runtime)
  const makers = new Map(plan.steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)))
  const sources = new Set([...plan.sources.values()].flat())
  const tensors = [...plan.tensors].flatMap((name): RoundedTensor[] => {
    const maker = makers.get(name)
    // What only moves has been rounded before.
    if (maker !== undefined && movesIntegers(maker, plan)) return []
    const takers = plan.steps.filter((step) => step.inputs.includes(name))
    const readers = takers.flatMap((step) => step.node.output.slice(0, 1))
    const shared = { name, group: plan.groupOf.get(name) ?? name, isSource: sources.has(name) }
    return [maker === undefined ? { ...shared, readers } : shared]
  })
  const weights = plan.steps.flatMap(({ linear }): RoundedWeight[] =>
    linear === undefined ? [] : [{ name: linear.node.input[1] ?? '', axis: linear.node.opType === 'Conv' ? 0 : 1 }],
  )
  const normal = plan.steps.filter(({ linear }) => linear !== undefined && normalizations.has(linear.output))
  const moments = await channelMoments(
    { ...model, graph },
    normal.filter(isNormalizable(view)),
    signature,
    rows,
    runtime,
  )
  return {
    onnx: writeModel({ ...model, graph } as typeof model),
    tensors,
    weights: [...new Map(weights.map((weight) => [weight.name, weight])).values()],
    normalized: [...moments].map(([{ linear }, { mean, variance }]) => {
      const [, weight = '', bias = ''] = linear?.node.input ?? []
      return { output: linear?.output ?? '', weight, bias, mean, variance }
    }),
    ranges: new Map([...histograms].map(([group, { min, max }]) => [group, { min, max }])),
    kept: plan.kept,
  }
}

/** Whether weight and bias are this layer's alone, and its channels where normalization has them. */
const isNormalizable =
  (view: GraphView) =>
  ({ node }: Step): boolean => {
    const own = node.input.slice(1)
    const isAlone = own.length === 2 && own.every((name) => view.consumers(name).length === 1)
    return isAlone && (node.opType === 'Conv' || node.opType === 'Gemm')
  }
