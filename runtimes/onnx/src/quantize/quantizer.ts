import type { Quantizer } from '@tideway/core'
import { cleanUp } from '../cleanup/cleanup.js'
import { errors } from '../errors.js'
import { graphOf, opsetOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import type { Model } from '../generated/onnx_pb.js'
import { checkCalibration } from './calibrate.js'
import { quantizedNodes } from './graph/refuse.js'
import { missingIn } from './missing.js'
import { type Attempt, attempt, type Source } from './static/attempt.js'
import { medians } from './static/latency.js'
import { type Int8Options, withTrained } from './static/options.js'
import { type Kept, NO_PLAN, type Plan, planOf } from './static/plan.js'
import { type LayerReport, reportStored } from './static/report.js'
import { someRows, type Whole } from './static/rows.js'
import { type StoredWeights, storedWeights } from './static/stored.js'
import { takeRounding } from './static/trained.js'
import { writeQuantized } from './static/write.js'
import { labelOf, viewOf } from './view.js'

/** The operator set from which DequantizeLinear knows scales per channel. */
const MIN_OPSET = 13

/** What the static quantizer says beside the file. */
export interface Int8Model extends Awaited<ReturnType<Quantizer['quantize']>> {
  /** Error of each layer, in the graph's order. */
  readonly layers: readonly LayerReport[]
}

/** A `Quantizer` that also says what became of each layer. */
export interface Int8Quantizer extends Quantizer {
  quantize(...parameters: Parameters<Quantizer['quantize']>): Promise<Int8Model>
}

/**
 * Static int8, after Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference": convolutions and dense layers with constant float32 weights, what is added, pooled
 * or joined between them, and products of two computed matrices. The graph is cleaned up first (`cleanUp`). Weights are
 * symmetric with a scale per channel, as fine as x86 without VNNI allows without saturating (see `weightScales`);
 * activations are uint8 with a zero point, ranges from the calibration rows; biases are int32. Weights are rounded
 * layer by layer, biases corrected, channels equalized where that helps: every choice by the error that it makes in the
 * outputs over calibration rows. Everything else stays in float and is named in `kept`. The same model and rows give
 * the same bytes.
 *
 * Throws, before work starts: `MODEL_INVALID`, `MODEL_ALREADY_QUANTIZED`, `QUANTIZE_OPSET_TOO_OLD`, `QUANTIZE_NOTHING`
 * and `CALIBRATION_INVALID`.
 *
 * @example
 * const calibration = { x: { dtype: 'float32', shape: [1000, 784], data: pixels } } as const
 * const { onnx, layers } = await createInt8Quantizer().quantize(bytes, calibration, runtime, { precision: 'int8' })
 */
export function createInt8Quantizer(options: Int8Options = {}): Int8Quantizer {
  return {
    name: 'onnx-int8',
    async quantize(bytes, calibration, runtime) {
      const model = readModel(bytes)
      refuseUnfit(model)
      const resolved = withTrained(options, takeRounding(model))
      await cleanUp(model, runtime)
      const graph = graphOf(model)
      const signature = signatureOf(model)
      const whole = { ...model, graph }
      if (resolved.form === 'stored') {
        const { stored, kept } = weightsAlone(whole, resolved.keep)
        if (stored.length === 0) throw nothing({ kept })
        return { precision: 'int8', ...inFileAlone(whole, { stored, kept }) }
      }
      refuseNothing(planOf(viewOf(graph), asked(resolved.keep)))
      checkCalibration(signature, calibration, missingIn(viewOf(graph)))
      const source = { model: whole, signature, rows: calibration, runtime, options: resolved }
      const made = await withinGate(source)
      const { plan, stored } = made.quantities
      const integers: Int8File = {
        onnx: made.onnx,
        quantized: [...plan.steps.filter(({ linear }) => linear !== undefined), ...stored].map(({ label }) => label),
        kept: plan.kept,
        layers: made.layers,
      }
      if (resolved.form !== 'fastest') return { precision: 'int8', ...integers }
      const alone = weightsAlone(whole, resolved.keep)
      if (alone.stored.length === 0) return { precision: 'int8', ...integers }
      const floats = inFileAlone(whole, alone)
      const [one, other] = await medians(runtime, [integers.onnx, floats.onnx], someRows(signature, calibration, 1))
      return { precision: 'int8', ...((one ?? 0) <= (other ?? 0) ? integers : floats) }
    },
  }
}

type Int8File = Omit<Int8Model, 'precision'>

interface WeightsAlone {
  readonly stored: readonly StoredWeights[]
  readonly kept: readonly Kept[]
}

/** Weights that may be integers in the file alone, and why the other nodes have none. */
function weightsAlone({ graph }: Whole, keep: readonly string[]): WeightsAlone {
  const view = viewOf(graph)
  const float = asked(keep)
  const stored = graph.node.flatMap((node) => (float.has(labelOf(node)) ? [] : (storedWeights(node, view) ?? [])))
  const inside = new Set(stored.map(({ node }) => node))
  const kept = graph.node
    .filter((node) => !inside.has(node))
    .map((node) => ({
      node: labelOf(node),
      reason: float.get(labelOf(node)) ?? 'it has no constant float32 weights, or hardly any',
    }))
  return { stored, kept }
}

/** The float model with weights that are integers in the file. */
function inFileAlone(model: Whole, { stored, kept }: WeightsAlone): Int8File {
  const quantities = { plan: NO_PLAN, scales: new Map(), weights: new Map(), ranks: new Map(), stored }
  const onnx = writeQuantized(model, quantities, 'qdq')
  return { onnx, quantized: stored.map(({ label }) => label), kept, layers: reportStored(stored) }
}

interface Made extends Attempt {
  readonly onnx: Uint8Array
}

/**
 * Quantizes all layers; where the gate does not hold, leaves the layers in float whose results are furthest off, one
 * more each time, until it does. Throws `QUANTIZE_NOTHING` when none would be left.
 */
async function withinGate(source: Source): Promise<Made> {
  const { gate, form, keep } = source.options
  const float = asked(keep)
  for (;;) {
    const made = await finite(source, float)
    const onnx = writeQuantized(made.model, made.quantities, form === 'operators' ? 'operators' : 'qdq')
    const loss = gate === undefined ? 0 : await gate.measure(onnx)
    if (gate === undefined || loss <= gate.maxLoss) return { ...made, onnx }
    const [worst] = made.layers
      .filter(({ input }) => input !== null)
      .toSorted((a, b) => (a.outputSnrDb ?? Infinity) - (b.outputSnrDb ?? Infinity))
    if (worst === undefined) throw nothing(made.quantities.plan)
    float.set(worst.node, `with it the loss is ${loss}, above ${gate.maxLoss}, and its error is the largest`)
    refuseNothing(planOf(viewOf(made.model.graph), float))
  }
}

/** An attempt without layers whose scales leave float32. */
async function finite(source: Source, float: Map<string, string>): Promise<Attempt> {
  for (;;) {
    const made = await attempt(source, float)
    const broken = [...made.quantities.weights].filter(([, { biasScales }]) => !biasScales.every(Number.isFinite))
    if (broken.length === 0) return made
    for (const [{ label }] of broken) float.set(label, 'its values are too large for a float32 scale')
    refuseNothing(planOf(viewOf(source.model.graph), float))
  }
}

/** Layers in float, by label, with the reason. */
const asked = (keep: readonly string[]): Map<string, string> =>
  new Map(keep.map((label) => [label, 'it was asked to stay']))

/** Throws for a model that is quantized already, or of too old an operator set. */
export function refuseUnfit(model: Model): void {
  const nodes = quantizedNodes(graphOf(model))
  if (nodes.length > 0) throw errors.MODEL_ALREADY_QUANTIZED({ nodes })
  const opset = opsetOf(model)
  if (opset < MIN_OPSET) throw errors.QUANTIZE_OPSET_TOO_OLD({ opset, minimum: MIN_OPSET })
}

export function refuseNothing(plan: Plan): void {
  if (!plan.steps.some(({ linear }) => linear !== undefined)) throw nothing(plan)
}

const nothing = ({ kept }: { readonly kept: readonly Kept[] }): Error =>
  errors.QUANTIZE_NOTHING({ kept: kept.map(({ node, reason }) => `${node}: ${reason}`) })
