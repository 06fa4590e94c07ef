import {
  arrayClasses,
  type DataType,
  elementCount,
  type NumericType,
  type Signature,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { datatypeOf, dtypeOf } from '../inference/datatypes.js'

/**
 * Checks a run's inputs against a signature and throws `INPUT_INVALID` naming every input that is missing, unknown,
 * or of a wrong type, shape or length. For runtimes.
 */
export function checkInputs(signature: Signature, inputs: Tensors): void {
  const issues: string[] = []
  // Callers in plain JavaScript may hand over anything.
  const whole: unknown = inputs
  if (typeof whole !== 'object' || whole === null)
    throw errors.INPUT_INVALID({ issues: ['inputs: are not an object with a tensor for each name'] })
  const given: Readonly<Record<string, unknown>> = inputs
  for (const spec of signature.inputs) {
    if (!Object.hasOwn(given, spec.name)) issues.push(`${spec.name}: is missing`)
    else for (const issue of tensorIssues(given[spec.name], spec)) issues.push(`${spec.name}: ${issue}`)
  }
  const known = new Set(signature.inputs.map((spec) => spec.name))
  for (const name of Object.keys(given)) {
    if (!known.has(name)) issues.push(`${name}: is not an input of this model`)
  }
  if (issues.length > 0) throw errors.INPUT_INVALID({ issues })
}

/**
 * `checkInputs` for a session that runs often: inputs that fit are told in a tenth of a microsecond; what may not fit goes
 * to `checkInputs`, which says what is wrong.
 */
export function inputCheck(signature: Signature): (inputs: Tensors) => void {
  const wanted = signature.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape, array: classOf(dtype) }))
  return (inputs) => {
    let fit = Object.keys(inputs ?? {}).length === wanted.length
    for (const spec of wanted) fit &&= Object.hasOwn(inputs, spec.name) && surelyFits(inputs[spec.name], spec)
    if (!fit) checkInputs(signature, inputs)
  }
}

type Wanted = Pick<TensorSpec, 'dtype' | 'shape'> & { readonly array: ReturnType<typeof classOf> }

/** Whether `tensorIssues` is sure to find nothing. */
function surelyFits(value: Partial<Tensor> | null | undefined, { dtype, shape: sizes, array }: Wanted): boolean {
  if (value === null || value?.dtype !== dtype || !(value.data instanceof array)) return false
  const { data, shape } = value
  if (!Array.isArray(shape) || shape.length !== sizes.length) return false
  let count = 1
  for (let axis = 0; axis < sizes.length; axis++) {
    const size: unknown = shape[axis]
    const expected = sizes[axis]
    if (!Number.isSafeInteger(size) || (size as number) < 0) return false
    if (expected !== null && size !== expected) return false
    count *= size as number
  }
  return data.length === count
}

/** What is wrong with a value that should be a tensor of this spec; empty if nothing is. */
export function tensorIssues(value: unknown, spec: Pick<TensorSpec, 'dtype' | 'shape'>): string[] {
  if (typeof value !== 'object' || value === null) return ['is not a tensor { dtype, shape, data }']
  const { dtype, shape, data } = value as Partial<Tensor>
  const issues: string[] = []
  if (dtype !== spec.dtype) issues.push(`type is ${typeText(dtype)}, expected ${typeText(spec.dtype)}`)
  else if (!(data instanceof classOf(dtype))) issues.push(`data is not a ${classOf(dtype).name}`)
  if (!isShape(shape)) return [...issues, 'shape is not a list of whole numbers from 0']
  if (!fits(shape, spec.shape)) issues.push(`shape is ${shapeText(shape)}, expected ${shapeText(spec.shape)}`)
  else if (issues.length === 0 && data !== undefined && data.length !== elementCount(shape)) {
    issues.push(`data has ${data.length} values, its shape ${shapeText(shape)} needs ${elementCount(shape)}`)
  }
  return issues
}

function classOf(dtype: DataType): ArrayConstructor | (typeof arrayClasses)[NumericType] {
  return dtype === 'string' ? Array : arrayClasses[dtype]
}

function isShape(shape: unknown): shape is readonly number[] {
  return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)
}

function fits(shape: readonly number[], expected: readonly (number | null)[]): boolean {
  return shape.length === expected.length && expected.every((size, axis) => size === null || size === shape[axis])
}

/** Under the name of the Open Inference Protocol too, which is how who asks over the wire wrote it. */
function typeText(dtype: unknown): string {
  const datatype = datatypeOf(dtype as DataType)
  return dtypeOf(datatype) === undefined ? String(dtype) : `${String(dtype)} (${datatype})`
}

function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size ?? '?').join(', ')}]`
}
