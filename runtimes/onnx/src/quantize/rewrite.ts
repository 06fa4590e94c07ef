import type { Tensor } from '@tideway/core'
import { makeNode } from '../format/node.js'
import { fromTensor } from '../format/tensor.js'
import type { Graph, Node } from '../generated/onnx_pb.js'
import { type AffineScale, INT32, MIN_SCALE, quantize, symmetricScale, WEIGHT_RANGE } from './reference.js'
import type { Layer } from './rules.js'
import { capturedBy } from './view.js'

/** A layer with what calibration said of its input. */
export interface CalibratedLayer {
  readonly layer: Layer
  readonly activation: AffineScale
  readonly weights: QuantizedWeights
  readonly rank: number
}

/** A layer's constants as integers; `scales` has one value per channel. */
export interface QuantizedWeights {
  readonly weight: Int8Array
  readonly scales: Float32Array
  readonly bias: Int32Array | undefined
  /** The bias's scale, which is that of the integer sums: activation scale · weight scale. */
  readonly biasScales: Float32Array
}

/** Leaves room beside the bias in the int32 sum. */
const MAX_BIAS = 2 ** 30

/**
 * Weights per channel, symmetric, in 7 bits; the bias in the units of the integer sum. A channel whose bias would not
 * fit (its weights are next to nothing) gets coarser weights, which then hardly count against its bias.
 */
export function quantizeWeights({ weight, inner, outer, bias }: Layer, activation: number): QuantizedWeights {
  const scales = new Float32Array(outer)
  for (let channel = 0; channel < outer; channel++) {
    let peak = 0
    for (let k = 0; k < inner; k++) peak = Math.max(peak, Math.abs(weight[k * outer + channel] ?? 0))
    const room = Math.abs(bias?.[channel] ?? 0) / (activation * MAX_BIAS)
    scales[channel] = Math.max(MIN_SCALE, peak === 0 ? 0 : symmetricScale(peak, WEIGHT_RANGE), room)
  }
  const scaleAt = (channel: number): AffineScale => ({ scale: scales[channel] ?? 1, zeroPoint: 0 })
  const biasScales = scales.map((scale) => activation * scale)
  return {
    weight: Int8Array.from(weight, (value, index) => quantize(value, scaleAt(index % outer), WEIGHT_RANGE)),
    scales,
    bias: bias && Int32Array.from(bias, (b, c) => quantize(b, { scale: biasScales[c] ?? 1, zeroPoint: 0 }, INT32)),
    biasScales,
  }
}

/**
 * Puts the layers' integer forms into the graph, in QDQ form: each quantized tensor passes a QuantizeLinear and a
 * DequantizeLinear of the standard operator set, and engines with integer kernels compute between them.
 */
export function rewrite(graph: Graph, layers: readonly CalibratedLayer[]): void {
  const writer = new Writer(graph)
  const last = new Map(layers.map((item) => [item.layer.nodes.at(-1), item]))
  const replaced = new Set(layers.flatMap(({ layer }) => layer.nodes))
  graph.node = graph.node.flatMap((node) => {
    const item = last.get(node)
    if (item !== undefined) return writer.layer(item)
    return replaced.has(node) ? [] : [node]
  })
  dropUnused(graph, new Set([...replaced].flatMap((node) => [...node.input, ...node.output])))
}

class Writer {
  private readonly taken: Set<string>
  private readonly activations = new Map<string, string>()
  private readonly zeros = new Map<number, string>()

  constructor(private readonly graph: Graph) {
    const names = graph.node.flatMap((node) => [...node.input, ...node.output, ...capturedBy(node)])
    this.taken = new Set([
      ...names,
      ...[...graph.initializer, ...graph.input, ...graph.output].map((item) => item.name ?? ''),
    ])
  }

  layer({ layer, activation, weights: { weight, scales, bias, biasScales }, rank }: CalibratedLayer): Node[] {
    const nodes: Node[] = []
    const input = this.activations.get(layer.input) ?? this.activation(layer.input, activation, nodes)
    const of = layer.label
    // Integer kernels are chosen only where a zero point is given, even if it is zero.
    const weightInputs = [
      this.constant(`${of}_w`, { dtype: 'int8', shape: [layer.inner, layer.outer], data: weight }),
      this.constant(`${of}_ws`, { dtype: 'float32', shape: [layer.outer], data: scales }),
      this.zerosOf(layer.outer),
    ]
    const weightName = this.fresh(`${of}_wf`)
    nodes.push(makeNode('DequantizeLinear', weightInputs, [weightName], { axis: 1n }))
    let biasName: string | undefined
    if (bias !== undefined) {
      const biasInputs = [
        this.constant(`${of}_b`, { dtype: 'int32', shape: [layer.outer], data: bias }),
        this.constant(`${of}_bs`, { dtype: 'float32', shape: [layer.outer], data: biasScales }),
      ]
      biasName = this.fresh(`${of}_bf`)
      nodes.push(makeNode('DequantizeLinear', biasInputs, [biasName], { axis: 0n }))
    }
    nodes.push(...layer.emit({ input, weight: weightName, bias: biasName, output: layer.output, rank }))
    return nodes
  }

  /** A tensor that several layers read is quantized once. */
  private activation(name: string, { scale, zeroPoint }: AffineScale, nodes: Node[]): string {
    const scaleName = this.constant(`${name}_s`, { dtype: 'float32', shape: [], data: Float32Array.of(scale) })
    const zeroName = this.constant(`${name}_z`, { dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) })
    const [quantized, real] = [this.fresh(`${name}_q`), this.fresh(`${name}_f`)]
    nodes.push(makeNode('QuantizeLinear', [name, scaleName, zeroName], [quantized]))
    nodes.push(makeNode('DequantizeLinear', [quantized, scaleName, zeroName], [real]))
    this.activations.set(name, real)
    return real
  }

  private zerosOf(length: number): string {
    const known = this.zeros.get(length)
    if (known !== undefined) return known
    const name = this.constant(`zeros_${length}`, { dtype: 'int8', shape: [length], data: new Int8Array(length) })
    this.zeros.set(length, name)
    return name
  }

  private constant(wanted: string, tensor: Tensor): string {
    const name = this.fresh(wanted)
    this.graph.initializer.push(fromTensor(name, tensor))
    return name
  }

  private fresh(wanted: string): string {
    let name = wanted
    for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`
    this.taken.add(name)
    return name
  }
}

/** Takes out the candidates among constants and type annotations that nothing reads any more. */
function dropUnused(graph: Graph, candidates: ReadonlySet<string>): void {
  const used = new Set(graph.output.map((info) => info.name))
  for (const node of graph.node) for (const name of [...node.input, ...capturedBy(node)]) used.add(name)
  const made = new Set(graph.node.flatMap((node) => node.output))
  const dead = (name = '') => candidates.has(name) && !used.has(name)
  const weights = new Set(graph.initializer.map((tensor) => tensor.name))
  graph.input = graph.input.filter((info) => !(dead(info.name) && weights.has(info.name)))
  graph.initializer = graph.initializer.filter((tensor) => !dead(tensor.name))
  graph.node = graph.node.filter((node) => node.opType !== 'Constant' || !dead(node.output[0]))
  graph.valueInfo = graph.valueInfo.filter((info) => !candidates.has(info.name ?? '') || made.has(info.name ?? ''))
}
