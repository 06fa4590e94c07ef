import type { Attributes, AttributeValue } from '../format/node.js'
import type { Value } from './value.js'

/** The same inputs give other outputs each time: two such nodes are two. */
const RANDOM = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
])

/** Larger tensors in attributes are not compared, nor are graphs. */
const MOST = 64

const COMMUTATIVE = new Set(['Add', 'Mul'])

/** Numbers that print alike must be alike: -0 is not 0. */
export const exact = (value: unknown): string => (Object.is(value, -0) ? '-0' : String(value))

/** What two nodes have in common when they give the same values; undefined for nodes that are never shared. */
export function shareKey(
  opType: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
  outputs: number,
): string | undefined {
  if (RANDOM.has(opType)) return undefined
  const parts: string[] = []
  for (const name of Object.keys(attributes).sort()) {
    const text = textOf(attributes[name] as AttributeValue)
    if (text === undefined) return undefined
    parts.push(`${name}=${text}`)
  }
  const names = inputs.map((value) => value?.name ?? '')
  if (COMMUTATIVE.has(opType)) names.sort()
  return JSON.stringify([opType, outputs, names, parts])
}

/** Integers and floats are different attributes, though both print as numbers. */
function textOf(value: AttributeValue): string | undefined {
  if (typeof value === 'object' && '$typeName' in value) return undefined
  if (typeof value === 'object' && 'dtype' in value) {
    if (value.data.length > MOST) return undefined
    return `${value.dtype}[${value.shape.join()}]${Array.from(value.data as ArrayLike<unknown>, exact).join()}`
  }
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  return JSON.stringify([Array.isArray(value), items.map((item) => [typeof item, exact(item)])])
}
