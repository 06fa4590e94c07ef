import type { JobSpec, Runtime, Session, Variant } from '@tideway/core'
import { cleanUpModel, tfjsGraphModel } from '@tideway/onnx'
import { inferenceModel, initialStatistics, initialValues, trainableIn } from '@tideway/training'
import { cloudErrors } from '../errors.js'
import type { Artifacts } from './artifacts.js'
import { storeKnownAnswers, testedRows } from './known-answers.js'
import type { Part, Parts } from './split.js'

export const TFJS_VARIANT = 'tfjs-fp32'

/** Gets the runtime that answers for devices with TensorFlow.js. */
export type LoadTfjs = () => Promise<Runtime>

/**
 * TensorFlow.js on its WebAssembly, which needs nothing beside it. Throws `TFJS_RUNTIME_MISSING` where the optional package
 * `@tideway/runtime-tfjs` is not installed.
 */
export const loadTfjs = async (importing = () => import('@tideway/runtime-tfjs')): Promise<Runtime> => {
  try {
    return (await importing()).createTfjsRuntime({ providers: ['wasm'] })
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw cloudErrors.TFJS_RUNTIME_MISSING({ reason: (cause as Error).message.split('\n')[0] ?? '' }, cause)
  }
}

/**
 * Says before hours of training what is in the way of a variant for TensorFlow.js: its runtime, or layers without a form
 * there, by exporting the network with the weights that it begins with. Throws `TFJS_RUNTIME_MISSING`,
 * `TFJS_EXPORT_UNSUPPORTED`.
 */
export async function openTfjs(
  spec: JobSpec,
  { base, inputs }: { readonly base: Uint8Array | undefined; readonly inputs: Parts['train']['inputs'] },
  { runtime, load = loadTfjs }: { readonly runtime: Runtime; readonly load?: LoadTfjs | undefined },
): Promise<Runtime> {
  const tfjs = await load()
  const { network } = trainableIn(spec, base)
  const weights = { ...initialValues(network, spec.seed), ...initialStatistics(network, inputs) }
  await graphModel(network.write?.(weights) ?? inferenceModel(network, weights), runtime)
  return tfjs
}

/** A trained float model for TensorFlow.js: its graph is cleaned up before, as it is for quantizing. */
export async function graphModel(onnx: Uint8Array, runtime: Runtime): Promise<Uint8Array> {
  return tfjsGraphModel(await cleanUpModel(onnx, runtime))
}

export interface TfjsOrder {
  readonly artifacts: Artifacts
  readonly file: Uint8Array
  /** Of the file. */
  readonly session: Session
  /** Of the ONNX model that it was made from, and the engine that it runs on. */
  readonly float: Session
  readonly engine: string
  readonly part: Part
}

/**
 * Stores a Graph model as a variant. Its known answers are its own, and only if ONNX Runtime's for the same rows are no
 * further away than sums in another order explain: else throws `TFJS_ANSWERS_DIFFER`, as the file computes something else.
 */
export async function storeTfjsVariant({ artifacts, file, session, float, engine, part }: TfjsOrder): Promise<Variant> {
  const stored = await artifacts.putFile(file, [])
  const knownAnswers = await storeKnownAnswers(artifacts, {
    variant: session,
    file,
    float: session,
    ...testedRows(session, part),
    engine: 'tfjs-wasm',
    others: [{ name: engine, run: (_, inputs) => float.run(inputs) }],
    onUnable: (_, reason) => {
      throw cloudErrors.TFJS_ANSWERS_DIFFER({ engine, reason })
    },
  })
  return {
    id: TFJS_VARIANT,
    format: 'tfjs',
    precision: 'fp32',
    requires: [],
    files: [{ path: 'model.fp32.json', ...stored }],
    knownAnswers,
  }
}
