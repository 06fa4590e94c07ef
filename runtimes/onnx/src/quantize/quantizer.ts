import type { Quantizer } from '@tideway/core'
import { errors } from '../errors.js'
import { graphOf, opsetOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import { writeModel } from '../format/write.js'
import type { Graph, Node } from '../generated/onnx_pb.js'
import { checkCalibration, observe } from './calibrate.js'
import { missingIn } from './missing.js'
import { UINT8 } from './reference.js'
import { type CalibratedLayer, quantizeWeights, rewrite } from './rewrite.js'
import { KEPT, type Layer, RULES } from './rules.js'
import { type GraphView, labelOf, subgraphsOf, viewOf } from './view.js'

/** The operator set from which DequantizeLinear knows scales per channel. */
const MIN_OPSET = 13

const INTEGER_OPERATORS =
  /^(Dynamic)?(Quantize|Dequantize)|^QLinear|^Q(Gemm|Attention|Embed|Ordered)|Integer(ToFloat)?$|NBits$/

interface Kept {
  readonly node: string
  readonly reason: string
}

/**
 * Static int8 for dense layers (MatMul with its Add, Gemm; constant float32 weights), after Jacob et al. 2018,
 * "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference": weights per channel,
 * symmetric, in 7 bits (see `WEIGHT_RANGE` for why not 8); activations as uint8 with a zero point, their ranges
 * by least squared error over the calibration rows; biases as int32. Everything else stays in float and is named in
 * `kept`. The same model and rows give the same bytes.
 *
 * The result is standard ONNX in QDQ form: ONNX Runtime turns it into integer kernels, and other engines compute the
 * same in float.
 *
 * Throws, before work starts: `MODEL_INVALID`, `MODEL_ALREADY_QUANTIZED`, `QUANTIZE_OPSET_TOO_OLD`, `QUANTIZE_NOTHING`
 * and `CALIBRATION_INVALID`.
 *
 * @example
 * const calibration = { x: { dtype: 'float32', shape: [1000, 784], data: pixels } } as const
 * const { onnx } = await createInt8Quantizer().quantize(bytes, calibration, runtime, { precision: 'int8' })
 */
export function createInt8Quantizer(): Quantizer {
  return {
    name: 'onnx-int8',
    async quantize(bytes, calibration, runtime) {
      const model = readModel(bytes)
      const graph = graphOf(model)
      const quantized = [...integerNodes(graph)]
      if (quantized.length > 0) throw errors.MODEL_ALREADY_QUANTIZED({ nodes: quantized })
      const opset = opsetOf(model)
      if (opset < MIN_OPSET) throw errors.QUANTIZE_OPSET_TOO_OLD({ opset, minimum: MIN_OPSET })
      const view = viewOf(graph)
      const { layers, kept } = plan(view)
      if (layers.length === 0) throw nothing(kept)
      const signature = signatureOf(model)
      checkCalibration(signature, calibration, missingIn(view))

      const names = new Set(layers.map((layer) => layer.input))
      const observers = await observe({ ...model, graph }, signature, names, calibration, runtime)
      const calibrated: CalibratedLayer[] = []
      for (const layer of layers) {
        const observer = observers.get(layer.input)
        if (observer?.rank === undefined)
          throw errors.CALIBRATION_INVALID({ issues: [`${layer.input}: was never seen`] })
        const activation = observer.scale(UINT8)
        const weights = quantizeWeights(layer, activation.scale)
        if (weights.biasScales.every(Number.isFinite))
          calibrated.push({ layer, activation, weights, rank: observer.rank })
        else kept.push({ node: layer.label, reason: 'its values are too large for a float32 scale' })
      }
      if (calibrated.length === 0) throw nothing(kept)
      rewrite(graph, calibrated)
      return { onnx: writeModel(model), precision: 'int8', quantized: calibrated.map(({ layer }) => layer.label), kept }
    },
  }
}

function nothing(kept: readonly Kept[]): Error {
  return errors.QUANTIZE_NOTHING({ kept: kept.map(({ node, reason }) => `${node}: ${reason}`) })
}

/** The layers that become integer, and every other node with the reason why it does not. */
function plan(view: GraphView): { layers: Layer[]; kept: Kept[] } {
  const layers: Layer[] = []
  const kept: Kept[] = []
  const inLayers = new Set<Node>()
  for (const node of view.graph.node) {
    if (inLayers.has(node) || node.opType === 'Constant') continue
    const found = ruleOf(node)?.(node, view) ?? keptReason(node)
    if (typeof found === 'string') kept.push({ node: labelOf(node), reason: found })
    else {
      layers.push(found)
      for (const member of found.nodes) inLayers.add(member)
    }
  }
  return { layers, kept }
}

const isStandard = ({ domain = '' }: Node) => domain === '' || domain === 'ai.onnx'

const ruleOf = (node: Node) => {
  const name = node.opType ?? ''
  return isStandard(node) && Object.hasOwn(RULES, name) ? RULES[name] : undefined
}

function keptReason(node: Node): string {
  const name = node.opType ?? ''
  return isStandard(node) && Object.hasOwn(KEPT, name) ? (KEPT[name] ?? '') : `there is no integer rule for ${name}`
}

function* integerNodes(graph: Graph): Generator<string> {
  for (const node of graph.node) {
    if (INTEGER_OPERATORS.test(node.opType ?? '')) yield labelOf(node)
    for (const inner of subgraphsOf(node)) yield* integerNodes(inner)
  }
}
