import {
  arrayClasses,
  elementCount,
  type NumericType,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '@tideway/core'
import { quote, refuse } from '../format/issues.js'
import { type DeclaredOutput, dataTypeOf, type Model } from './model.js'
import { runModel } from './run.js'

type Answer = Readonly<Record<string, Tensor>>

/**
 * The signature of a model, and the proof that its backend has what it needs: a model is run once on zeros, every free size
 * taken as 1, and a second time as 2 where the file does not tell its outputs, or says that they have one row whatever the
 * inputs have. Types and sizes are what it answered: files do not always tell the truth. Throws what the run throws, unless a size of 1 may be to blame; `MODEL_INVALID`.
 */
export async function describe(model: Model): Promise<Signature> {
  const { inputs } = model
  const one = await tried(model, 1)
  const hasRows = inputs.some(({ shape }) => shape[0] === null)
  const told = model.outputs.every(
    ({ name, shape }) => one === undefined || (fits(shape, one[name]) && !(hasRows && shape?.[0] === 1)),
  )
  const two = one !== undefined && !told ? await tried(model, 2) : undefined
  const issues: string[] = []
  const outputs = model.outputs.map((output): TensorSpec => {
    const shown = one?.[output.name]
    const dtype = shown === undefined ? output.dtype : dataTypeOf(shown.dtype)
    const shape = shapeOf(output, shown, two?.[output.name])
    if (dtype === undefined) issues.push(`output ${quote(output.name)}: its type is not float32, int32 or bool`)
    if (shape === undefined)
      issues.push(`output ${quote(output.name)}: its shape is not known; save a signature with it`)
    return { name: output.name, dtype: dtype ?? 'float32', shape: shape ?? [] }
  })
  if (outputs.length === 0) issues.push('the model has no output')
  refuse(issues)
  return { inputs, outputs }
}

/** What it answers when every free size is this; undefined where that size may be too small for it. */
async function tried(model: Model, size: number): Promise<Answer | undefined> {
  const zeros = model.inputs.map(({ name, dtype, shape: spec }) => {
    const shape = spec.map((known) => known ?? size)
    return [
      name,
      { dtype, shape, data: new arrayClasses[dtype as NumericType](elementCount(shape)) } as Tensor,
    ] as const
  })
  try {
    return await runModel(model, Object.fromEntries(zeros))
  } catch (cause) {
    const isOfSize = model.inputs.some(({ shape }) => shape.slice(1).includes(null)) || size > 1
    if (!isOfSize || lacksKernel(cause)) throw cause
    return undefined
  }
}

/** TensorFlow.js has no class for it. */
function lacksKernel(cause: unknown): boolean {
  return cause instanceof Error && /^Kernel '.*' not registered|is not registered|has no operation/.test(cause.message)
}

function fits(declared: DeclaredOutput['shape'], shown: Tensor | undefined): boolean {
  if (declared === undefined || shown === undefined || declared.length !== shown.shape.length) return false
  return declared.every((size, axis) => size === null || size === shown.shape[axis])
}

/** As declared where that is true; else free where it followed the inputs' free sizes. */
function shapeOf(
  { shape }: DeclaredOutput,
  one: Tensor | undefined,
  two: Tensor | undefined,
): readonly (number | null)[] | undefined {
  if (one === undefined || (fits(shape, one) && (two === undefined || fits(shape, two)))) return shape
  if (two === undefined || two.shape.length !== one.shape.length) return undefined
  return one.shape.map((size, axis) => (size === two.shape[axis] ? size : null))
}
