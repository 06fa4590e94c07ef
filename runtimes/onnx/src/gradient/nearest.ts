import type { BuiltNode } from '../build/graph-builder.js'
import { GRADIENTS } from './rules.js'

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

/** What to write instead of a node: undefined when it can be differentiated as it is. */
export function withoutGradient({ opType, attributes }: BuiltNode): string | undefined {
  if (GRADIENTS[opType] === undefined) return nearestSupported(opType)
  const { attribute, forms, nearest } = FORMS[opType] ?? {}
  const value = attribute === undefined ? undefined : attributes[attribute]
  return value === undefined || forms?.includes(value) ? undefined : nearest
}
