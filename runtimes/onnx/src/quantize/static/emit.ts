import type { Tensor } from '@tideway/core'
import { type Attributes, attributesOf } from '../../format/node.js'
import type { Step } from './steps.js'
import type { IntegerWeights } from './weights.js'
import { MICROSOFT, type Writer } from './writer.js'

/** What a step's form is made from. */
export interface Emission {
  readonly writer: Writer
  readonly step: Step
  readonly weights: IntegerWeights | undefined
  /** Dimensions of the input. */
  readonly rank: number
  /** Whether what it takes and gives has one scale, and no arithmetic is needed. */
  readonly isMove: boolean
  /** Whether the output is carried as integers. */
  readonly isQuantized: boolean
}

export type Emit = (emission: Emission) => void

/**
 * Standard operators on float between DequantizeLinear and QuantizeLinear (QDQ): engines with integer kernels compute on
 * integers, others the same in float.
 */
export const emitQdq: Emit = (emission) => {
  const { writer, step, isQuantized } = emission
  const [output = ''] = step.outputs
  if (emission.isMove) return emitMove(emission)
  const inputs = step.inputs.map((name) => writer.restoredOf(name))
  const result = isQuantized ? writer.names.fresh() : writer.gaveFloat(output)
  if (step.linear === undefined) writer.add(step.node.opType ?? '', inputs, [result], plain(step))
  else emitQdqLayer(emission, inputs, result)
  if (isQuantized) writer.add('QuantizeLinear', [result, ...writer.scaleNames(output)], [writer.gaveIntegers(output)])
}

function emitQdqLayer({ writer, step, weights, rank }: Emission, inputs: readonly string[], result: string): void {
  const { linear } = step
  if (linear === undefined || weights === undefined) return
  const channels = weights.scales.length
  const axis = linear.node.opType === 'Conv' ? 0n : 1n
  const scales = writer.constant(row('float32', weights.scales))
  // Integer kernels are chosen only where a zero point is given, even if it is zero.
  const zeros = writer.constant(row('int8', new Int8Array(channels)))
  const weight = writer.names.fresh()
  // An axis of 1 is the default.
  const along: Attributes = axis === 1n ? {} : { axis }
  writer.add('DequantizeLinear', [stored(writer, step, weights), scales, zeros], [weight], along)
  let bias = ''
  if (weights.bias !== undefined) {
    bias = writer.names.fresh()
    const parts = [writer.constant(row('int32', weights.bias)), writer.constant(row('float32', weights.biasScales))]
    writer.add('DequantizeLinear', parts, [bias], { axis: 0n })
  }
  if (linear.node.opType === 'Conv') writer.add('Conv', [...inputs, weight, bias], [result], plain(step))
  else if (bias === '') writer.add('MatMul', [...inputs, weight], [result])
  // Gemm takes the bias into its integer sum but wants a matrix.
  else if (rank === 2) writer.add('Gemm', [...inputs, weight, bias], [result])
  else {
    const product = writer.names.fresh()
    writer.add('MatMul', [...inputs, weight], [product])
    writer.add('Add', [product, bias], [result])
  }
}

/** Operators on integers: standard ones where there are any, else those that ONNX Runtime adds. */
export const emitOperators: Emit = (emission) => {
  const { writer, step, isQuantized } = emission
  const [output = ''] = step.outputs
  if (emission.isMove) return emitMove(emission)
  const inputs = step.inputs.map((name) => [writer.integersOf(name), ...writer.scaleNames(name)])
  const [first = [], second = []] = inputs
  const target = isQuantized ? writer.scaleNames(output) : []
  const result = isQuantized ? writer.gaveIntegers(output) : writer.gaveFloat(output)
  if (step.kind === 'linear') emitLayer(emission, first, target, result)
  else if (step.kind === 'add' || step.kind === 'multiply')
    writer.add(`QLinear${step.node.opType}`, [...first, ...second, ...target], [result], {}, MICROSOFT)
  else if (step.kind === 'pool')
    writer.add(`QLinear${step.node.opType}`, [...first, ...target], [result], plain(step), MICROSOFT)
  else if (step.kind === 'concat')
    writer.add('QLinearConcat', [...target, ...inputs.flat()], [result], plain(step), MICROSOFT)
  else if (isQuantized) writer.add('QLinearMatMul', [...first, ...second, ...target], [result])
  else emitToFloat(writer, first, second, '', result)
}

function emitLayer(
  { writer, step, weights, rank, isQuantized }: Emission,
  input: readonly string[],
  target: readonly string[],
  result: string,
): void {
  if (weights === undefined) return
  const [output = ''] = step.outputs
  const scales = writer.constant(row('float32', weights.scales))
  const zero = writer.constant({ dtype: 'int8', shape: [], data: new Int8Array(1) })
  const weight = [stored(writer, step, weights), scales, zero]
  const bias = weights.bias === undefined ? '' : writer.constant(row('int32', weights.bias))
  if (step.node.opType === 'Conv') {
    writer.add('QLinearConv', [...input, ...weight, ...target, bias], [result], plain(step))
    return
  }
  if (rank === 2) {
    writer.add('QGemm', [...input, ...perChannel(writer, weight, weights), bias, ...target], [result], {}, MICROSOFT)
    return
  }
  const addend =
    weights.bias === undefined
      ? ''
      : writer.constant(
          row(
            'float32',
            weights.biasScales.map((scale, c) => scale * (weights.bias?.[c] ?? 0)),
          ),
        )
  if (!isQuantized) return emitToFloat(writer, input, weight, addend, result)
  if (addend === '') {
    writer.add('QLinearMatMul', [...input, ...perChannel(writer, weight, weights), ...target], [result])
    return
  }
  const product = writer.names.fresh()
  emitToFloat(writer, input, weight, addend, product)
  writer.add('QuantizeLinear', [product, ...writer.scaleNames(output)], [result])
}

/** These want a zero point for each scale. */
function perChannel(
  writer: Writer,
  [weight = '', scales = '']: readonly string[],
  { scales: all }: IntegerWeights,
): string[] {
  return [weight, scales, writer.constant(row('int8', new Int8Array(all.length)))]
}

function emitToFloat(
  writer: Writer,
  [a = '', scaleA = '', zeroA = '']: readonly string[],
  [b = '', scaleB = '', zeroB = '']: readonly string[],
  bias: string,
  result: string,
): void {
  writer.add('MatMulIntegerToFloat', [a, b, scaleA, scaleB, zeroA, zeroB, bias], [result], {}, MICROSOFT)
}

/** What moves values does so with integers too; their scale is that of the input. */
function emitMove({ writer, step }: Emission): void {
  const isMove = step.kind === 'pass'
  const integers = step.inputs.map((name) => writer.integersOf(name))
  const constants = isMove ? step.node.input.slice(1).map((name) => writer.names.of(name)) : []
  const outputs = step.node.output.map((name) => (name === '' ? '' : writer.gaveIntegers(name)))
  writer.add(step.node.opType ?? '', [...integers, ...constants], outputs, attributesOf(step.node))
}

function stored(writer: Writer, { linear }: Step, { weight }: IntegerWeights): string {
  return writer.constant({ dtype: 'int8', shape: linear?.weight.shape ?? [], data: weight })
}

const row = (dtype: 'float32' | 'int8' | 'int32', data: Float32Array | Int8Array | Int32Array): Tensor =>
  ({ dtype, shape: [data.length], data }) as Tensor

/** A node's attributes without those that say what is so anyway. */
export function plain({ node, linear }: Step): Attributes {
  const isDefault = (name: string, value: Attributes[string]): boolean => {
    const all = (wanted: bigint): boolean => Array.isArray(value) && value.every((item) => item === wanted)
    if (name === 'dilations' || name === 'strides') return all(1n)
    if (name === 'pads') return all(0n)
    if (name === 'group') return value === 1n
    if (name === 'auto_pad') return value === 'NOTSET'
    // A convolution's is the shape of its weights.
    return name === 'kernel_shape' && linear !== undefined
  }
  return Object.fromEntries(Object.entries(attributesOf(node)).filter(([name, value]) => !isDefault(name, value)))
}
