import type { BuiltNode } from '../build/graph-builder.js'
import { recurrentLimit } from '../build/recurrent.js'
import { GRADIENTS } from './rules.js'
import { einsumLimit } from './rules-einsum.js'

/** For operators without a gradient: what to write instead, in operators that have one. */
const NEAREST: Readonly<Record<string, string>> = {
  ArgMax: 'Softmax: a class index has no gradient',
  Ceil: 'Identity: the slope is 0 wherever there is one',
  Floor: 'Identity: the slope is 0 wherever there is one',
  ReduceProd: 'Exp(ReduceSum(Log(x))) for x > 0, or Mul of slices',
  Round: 'Identity: the slope is 0 wherever there is one',
  Sign: 'Tanh(k x) or Softsign(k x)',
}

/** The nearest form of an operator that can be differentiated, for an error message. */
function nearestSupported(operator: string): string {
  return NEAREST[operator] ?? `one of ${Object.keys(GRADIENTS).sort().join(', ')}`
}

const ADDS = { attribute: 'reduction', forms: ['none', 'add'], nearest: 'reduction "add" or none' }

/** Operators of which some forms have a gradient, by the attribute that decides. */
const FORMS: Readonly<Record<string, { attribute: string; forms: readonly unknown[]; nearest: string }>> = {
  GatherND: { attribute: 'batch_dims', forms: [0n], nearest: 'GatherND without batch_dims, or GatherElements' },
  ScatterElements: ADDS,
  ScatterND: ADDS,
}

/** Operators of which more than an attribute decides. */
const LIMITS: Readonly<Record<string, (node: BuiltNode) => string | undefined>> = {
  Einsum: einsumLimit,
  GRU: (node) => recurrentLimit('GRU', node),
  LSTM: (node) => recurrentLimit('LSTM', node),
  RNN: (node) => recurrentLimit('RNN', node),
}

/** What to write instead of a node: undefined when it can be differentiated as it is. */
export function withoutGradient(node: BuiltNode): string | undefined {
  const { opType, attributes } = node
  if (GRADIENTS[opType] === undefined) return nearestSupported(opType)
  const limit = LIMITS[opType]?.(node)
  if (limit !== undefined) return limit
  const { attribute, forms, nearest } = FORMS[opType] ?? {}
  const value = attribute === undefined ? undefined : attributes[attribute]
  return value === undefined || forms?.includes(value) ? undefined : nearest
}
