import { loadGraphModelSync } from '@tensorflow/tfjs-converter'
import * as tf from '@tensorflow/tfjs-core'
import type { DataType } from '@tideway/core'
import { holdBackend, onBackend } from '../backends/exclusive.js'
import type { ModelFile } from '../format/read.js'
import { checkInputSpecs, type DeclaredOutput, type Feeds, type Model, own } from './model.js'

/** What a signature of a SavedModel says of one tensor (TensorFlow's `TensorInfo` as JSON). */
interface SignatureEntry {
  readonly dtype?: string
  readonly tensorShape?: {
    readonly dim?: readonly { readonly size?: string | number }[]
    readonly unknownRank?: boolean
  }
  /** Of inputs that the model fills in itself (tables). */
  readonly resourceId?: unknown
}
/** One that was made of what is in memory. */
type GraphModel = ReturnType<typeof loadGraphModelSync>
type Entries = Readonly<Record<string, SignatureEntry>>

/** As TensorFlow.js holds TensorFlow's types. */
const TYPES: Readonly<Record<string, DataType>> = {
  DT_FLOAT: 'float32',
  DT_HALF: 'float32',
  DT_DOUBLE: 'float32',
  DT_BOOL: 'bool',
  DT_INT8: 'int32',
  DT_UINT8: 'int32',
  DT_INT32: 'int32',
  DT_INT64: 'int32',
}

/**
 * Makes a Graph model (a converted SavedModel) on a backend that was started. Names are the signature's, else the nodes'.
 * Throws `MODEL_INVALID` where its inputs are wrong, and what TensorFlow.js throws.
 */
export async function loadGraph(file: ModelFile, engine: string): Promise<Model> {
  const model = await onBackend(engine, () => make(file))
  try {
    const signature = model.modelSignature as { readonly inputs?: Entries; readonly outputs?: Entries } | undefined
    const entries = signature?.inputs ?? {}
    const inputs = checkInputSpecs(
      model.inputs.flatMap(({ dtype, shape }, at) => {
        const name = model.inputNodes[at] ?? ''
        const entry = Object.hasOwn(entries, name) ? entries[name] : undefined
        if (entry?.resourceId !== undefined) return []
        return [{ name, dtype, shape: shape === undefined ? shapeOf(entry) : withFree(shape) }]
      }),
    )
    const outputs = outputsOf(model, signature?.outputs)
    return { inputs, outputs, run: runner(model, engine, outputs), dispose: () => model.dispose() }
  } catch (cause) {
    model.dispose()
    throw cause
  }
}

/** Its weights are kept and everything else is disposed of, also where it fails. */
function make({ format, modelTopology, rest, specs, weights }: ModelFile): GraphModel {
  const made: GraphModel[] = []
  tf.tidy(() => {
    // Converters write it; without it TensorFlow.js fails on a model that is right otherwise.
    const topology = { versions: {}, ...modelTopology }
    const weightSpecs = [...specs]
    const model = loadGraphModelSync({
      ...rest,
      format,
      modelTopology: topology,
      weightSpecs,
      weightData: weights.buffer,
    })
    for (const tensors of Object.values(model.weights)) for (const tensor of tensors) tf.keep(tensor)
    made.push(model)
  })
  return made[0] as GraphModel
}

/** The signature's outputs by its keys: two of one node are two there, and one among the model's own names. */
function outputsOf(model: GraphModel, entries: Entries | undefined): readonly DeclaredOutput[] {
  const named = Object.entries(entries ?? {})
  if (named.length === 0) return [...new Set(model.outputNodes)].map((name) => ({ name }))
  return named.map(([name, entry]) => ({ name, dtype: TYPES[entry.dtype ?? ''], shape: shapeOf(entry) }))
}

/** Runs in one go where it can, and step by step a graph with loops, branches or sizes that show on the way. */
function runner(model: GraphModel, engine: string, outputs: readonly DeclaredOutput[]): Model['run'] {
  const names = outputs.map(({ name }) => name)
  const list = (answer: tf.Tensor | tf.Tensor[]): tf.Tensor[] => (Array.isArray(answer) ? answer : [answer])
  const inSteps = async (feed: () => Feeds): Promise<tf.Tensor[]> => {
    const feeds = feed()
    let answers: tf.Tensor[] = []
    try {
      answers = list(await model.executeAsync({ ...feeds }, names))
      return own(answers)
    } finally {
      const weights = new Set(Object.values(model.weights).flat())
      tf.dispose([...answers.filter((answer) => !weights.has(answer)), ...Object.values(feeds)])
    }
  }
  let needsSteps = false
  return async (feed) => {
    if (!needsSteps) {
      try {
        return await onBackend(engine, () => tf.tidy(() => own(list(model.execute({ ...feed() }, names)))))
      } catch (cause) {
        // It says so before it computes anything, of the same nodes each time.
        if (!(cause instanceof Error && cause.message.includes('executeAsync'))) throw cause
        needsSteps = true
      }
    }
    return await holdBackend(engine, () => inSteps(feed))
  }
}

function shapeOf(entry: SignatureEntry | undefined): readonly (number | null)[] | undefined {
  const shape = entry?.tensorShape
  if (shape === undefined || shape.unknownRank === true) return undefined
  return withFree((shape.dim ?? []).map(({ size }) => Number(size)))
}

/** TensorFlow writes a free size as -1. */
function withFree(shape: readonly (number | null)[]): readonly (number | null)[] {
  return shape.map((size) => (size === null || size < 0 ? null : size))
}
