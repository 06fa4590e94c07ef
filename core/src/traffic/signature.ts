import type { Signature, TensorSpec } from '../contracts/tensor.js'

/** What a client of `before` would find changed in `after`: names, types, shapes and their order. Undefined: nothing. */
export function signatureChange(before: Signature, after: Signature): string | undefined {
  const changes = (['inputs', 'outputs'] as const)
    .filter((side) => told(before[side]) !== told(after[side]))
    .map((side) => `${side} ${told(after[side])} instead of ${told(before[side])}`)
  return changes.length === 0 ? undefined : changes.join(', ')
}

function told(specs: readonly TensorSpec[]): string {
  return specs
    .map(({ name, dtype, shape }) => `${name} ${dtype}[${shape.map((size) => size ?? '?').join(', ')}]`)
    .join(' and ')
}
