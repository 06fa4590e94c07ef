import type { DataType, Tensor } from '../contracts/tensor.js'
import { datatypes, dtypeOf } from './datatypes.js'
import { type Issues, quoted } from './issues.js'
import { isShape, MAX_RANK } from './shape.js'

/** One input of a request, in whatever form it came; its fields are as they were sent. */
export interface TensorParts {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters: Readonly<Record<string, unknown>>
  /** The values, once type and shape are known to be right. What is wrong with them goes to `issues`. */
  values(dtype: DataType, shape: readonly number[], at: string): Tensor['data'] | undefined
}

/**
 * Tensors by name out of a list of them, each narrowed as those of a request in JSON are; what is wrong goes to `issues`. For
 * forms of the protocol that are no JSON.
 */
export function readTensors(list: readonly TensorParts[], issues: Issues): Record<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  const names = new Set<string>()
  if (list.length === 0) issues.add('inputs: must be a list of at least one tensor')
  for (const [i, parts] of list.entries()) {
    const { name, datatype, shape, parameters } = parts
    const at = `inputs.${i}`
    if (name === '') issues.add(`${at}.name: is missing`)
    else if (names.has(name)) issues.add(`${at}.name: ${quoted(name)} is given twice`)
    names.add(name)
    const dtype = dtypeOf(datatype)
    if (!dtype) issues.add(`${at}.datatype: must be one of ${datatypes.join(', ')}`)
    const shaped = isShape(shape)
    if (!shaped) issues.add(`${at}.shape: must be a list of at most ${MAX_RANK} whole numbers from 0`)
    if (parameters.shared_memory_region !== undefined)
      issues.add(`${at}.parameters.shared_memory_region: shared memory is not supported`)
    if (!dtype || !shaped) continue
    const data = parts.values(dtype, shape, at)
    // The values' array is made for the type; the compiler cannot follow one key through both.
    if (data) tensors.set(name, { dtype, shape, data } as Tensor)
  }
  return Object.fromEntries(tensors)
}
