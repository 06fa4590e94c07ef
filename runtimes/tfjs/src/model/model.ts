import * as tf from '@tensorflow/tfjs-core'
import type { DataType, TensorSpec } from '@tideway/core'
import { quote, refuse } from '../format/issues.js'

/** Tensors of TensorFlow.js by the names of the signature. */
export type Feeds = Readonly<Record<string, tf.Tensor>>

/** A model of TensorFlow.js with its weights on one backend. */
export interface Model {
  readonly inputs: readonly TensorSpec[]
  /** What the file says of its outputs; a type or shape that is missing shows when it runs. */
  readonly outputs: readonly DeclaredOutput[]
  /**
   * Runs it on its backend. `feed` makes the inputs there; the outputs, in the order of `outputs`, are the caller's to
   * dispose of, and none of them is an input or a weight itself.
   */
  run(feed: () => Feeds): Promise<tf.Tensor[]>
  /** Frees its weights. */
  dispose(): void
}

export interface DeclaredOutput {
  readonly name: string
  readonly dtype?: DataType
  readonly shape?: readonly (number | null)[]
}

/** Types of tensors that TensorFlow.js and our contracts share. */
const TYPES: readonly string[] = ['float32', 'int32', 'bool'] satisfies DataType[]

/** A type as a session can have it; undefined for others (string, complex64). */
export function dataTypeOf(dtype: unknown): DataType | undefined {
  return typeof dtype === 'string' && TYPES.includes(dtype) ? (dtype as DataType) : undefined
}

/** More numbers in one row than fit any device: a file that says so is wrong or means harm. */
const MOST_ELEMENTS = 2 ** 28

/** Narrows inputs as a model tells them; throws `MODEL_INVALID` naming every one that a session cannot have. */
export function checkInputSpecs(
  inputs: readonly { readonly name: string; readonly dtype?: unknown; readonly shape?: readonly (number | null)[] }[],
): readonly TensorSpec[] {
  const issues = inputs.length === 0 ? ['the model has no input'] : []
  const names = new Set<string>()
  const specs = inputs.map(({ name, dtype, shape }) => {
    const where = `input ${quote(name)}`
    if (names.has(name)) issues.push(`${where}: is there twice`)
    names.add(name)
    const type = dataTypeOf(dtype)
    if (type === undefined) issues.push(`${where}: holds ${quote(dtype)}, not one of ${TYPES.join(', ')}`)
    const isShape =
      Array.isArray(shape) && shape.every((size) => size === null || (Number.isSafeInteger(size) && size >= 0))
    if (!isShape) issues.push(`${where}: has no shape that is known`)
    else if (shape.reduce((count: number, size) => count * (size ?? 1), 1) > MOST_ELEMENTS)
      issues.push(`${where}: a row of it is larger than ${MOST_ELEMENTS} numbers`)
    return { name, dtype: type ?? 'float32', shape: isShape ? shape : [] }
  })
  refuse(issues)
  return specs
}

/** Outputs that stay when the scope ends and are not the tensors of weights or inputs. */
export function own(outputs: readonly tf.Tensor[]): tf.Tensor[] {
  return outputs.map((output) => tf.clone(output))
}
