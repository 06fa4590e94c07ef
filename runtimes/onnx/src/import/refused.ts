import type { Node } from '../generated/onnx_pb.js'

/** Default-domain operators that are never taken over, and what to do about it. */
const REFUSED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['Loop', 'Scan'].map((operator) => [operator, 'control flow; export with the loop unrolled'])),
  ...Object.fromEntries(
    [
      'SequenceConstruct',
      'SequenceEmpty',
      'SequenceAt',
      'SequenceErase',
      'SequenceInsert',
      'SequenceLength',
      'SequenceMap',
      'SplitToSequence',
      'ConcatFromSequence',
      'Optional',
      'OptionalGetElement',
      'OptionalHasElement',
    ].map((operator) => [operator, 'sequences and optional values are no tensors']),
  ),
  ...Object.fromEntries(
    [
      'QuantizeLinear',
      'DequantizeLinear',
      'DynamicQuantizeLinear',
      'QLinearConv',
      'QLinearMatMul',
      'ConvInteger',
      'MatMulInteger',
    ].map((operator) => [operator, 'the model is quantized; use the float model that it was made from']),
  ),
  // Newer than what is written (17), and of no form that older operators have here.
  ...Object.fromEntries(
    [
      'AffineGrid',
      'Attention',
      'BitwiseAnd',
      'BitwiseNot',
      'BitwiseOr',
      'BitwiseXor',
      'CenterCropPad',
      'Col2Im',
      'DeformConv',
      'ImageDecoder',
      'RegexFullMatch',
      'RotaryEmbedding',
      'StringConcat',
      'StringSplit',
      'Swish',
      'TensorScatter',
    ].map((operator) => [operator, 'newer than operator set 17; export with opset 17']),
  ),
  // Hidden random state: no run would be reproducible.
  ...Object.fromEntries(
    ['Bernoulli', 'Multinomial', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike'].map(
      (operator) => [operator, 'random numbers without a seed of ours'],
    ),
  ),
}

/** Operators of the contrib domain that have a form here. */
const CONTRIB = new Set(['Gelu', 'QuickGelu'])

/** Why a node cannot be taken over; undefined when it can, as far as its operator goes. */
export function refusalOf({ opType = '', domain = '' }: Node, name: string): string | undefined {
  const isDefault = domain === '' || domain === 'ai.onnx'
  const reason = isDefault
    ? Object.hasOwn(REFUSED, opType)
      ? REFUSED[opType]
      : undefined
    : domain === 'com.microsoft' && CONTRIB.has(opType)
      ? undefined
      : `domain "${domain}" is unknown`
  return reason === undefined ? undefined : `"${name}" (${opType}: ${reason})`
}
