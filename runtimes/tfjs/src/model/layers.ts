import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { elementCount } from '@tideway/core'
import { startBackend } from '../backends/choose.js'
import { cpu } from '../backends/cpu.js'
import { onBackend } from '../backends/exclusive.js'
import { listed, quote, refuse } from '../format/issues.js'
import type { ModelFile } from '../format/read.js'
import type { WeightSpec } from '../format/weights.js'
import { checkInputSpecs, dataTypeOf, type Model, own } from './model.js'
import { topologyIssues } from './topology.js'

/**
 * Makes a Layers model (Keras in TensorFlow.js) on a backend that was started. Throws `MODEL_INVALID` where the file is
 * wrong, and what TensorFlow.js throws.
 */
export async function loadLayers(file: ModelFile, engine: string): Promise<Model> {
  const { model, dispose } = await build(file)
  try {
    check(model, file)
    await onBackend(engine, () => setWeights(model, file))
    const inputs = checkInputSpecs(
      model.inputs.map(({ dtype, shape }, at) => ({ name: model.inputNames[at] ?? '', dtype, shape })),
    )
    const names = unique(model.outputNames)
    const outputs = model.outputs.map(({ dtype, shape }, at) => ({
      name: names[at] ?? '',
      dtype: dataTypeOf(dtype),
      shape,
    }))
    return {
      inputs,
      outputs,
      run: (feed) =>
        onBackend(engine, () =>
          tf.tidy(() => {
            const feeds = feed()
            const fed = inputs.map(({ name }) => feeds[name] as tf.Tensor)
            // Not `predict`, which cuts a batch into pieces of 32 rows and joins the answers.
            const answer = model.call(fed, { training: false })
            return own(Array.isArray(answer) ? answer : [answer])
          }),
        ),
      dispose,
    }
  } catch (cause) {
    dispose()
    throw cause
  }
}

/** The layers with weights of zeros; nothing is left of them if it fails. */
async function build({ modelTopology, specs }: ModelFile): Promise<{ model: tfl.LayersModel; dispose: () => void }> {
  refuse(listed(topologyIssues(modelTopology)))
  await startBackend(cpu)
  let building: Promise<tfl.LayersModel> | undefined
  let made: tf.Variable[] = []
  // In plain JavaScript, whatever the model runs on: its memory is the process's, which can be had and given back.
  await onBackend(cpu.engine, () =>
    tf.tidy(() => {
      const before = new Set(Object.values(tf.engine().state.registeredVariables))
      const restore = limitWeights(specs)
      // It waits for nothing but weights from elsewhere, of which there are none: it is done when it returns.
      try {
        building = tfl.models.modelFromJSON(modelTopology as unknown as tfl.ModelAndWeightsConfig)
      } finally {
        restore()
      }
      made = Object.values(tf.engine().state.registeredVariables).filter((variable) => !before.has(variable))
    }),
  )
  try {
    const model = await (building as unknown as Promise<tfl.LayersModel>)
    return {
      model,
      dispose() {
        model.dispose()
        // Wrappers leave the weights of what they wrap.
        tf.dispose(made)
      },
    }
  } catch (cause) {
    tf.dispose(made)
    throw cause
  }
}

/**
 * Until it is restored, layers begin with zeros in place of random numbers, which the file's weights replace (an orthogonal
 * matrix takes seconds to make), and have no more weights than the file has: it may say any size of a layer.
 */
function limitWeights(specs: readonly WeightSpec[]): () => void {
  const prototype = tfl.layers.Layer.prototype as unknown as { addWeight: AddWeight }
  const original = prototype.addWeight
  const zeros = tfl.initializers.zeros()
  let left = specs.reduce((sum, { shape, group }) => sum + (group === 'optimizer' ? 0 : elementCount(shape)), 0)
  prototype.addWeight = function (name, shape, dtype, _initializer, regularizer, trainable, constraint) {
    left -= elementCount(shape)
    // Not a number, too.
    if (!(left >= 0))
      throw new Error(`the layers have more weights than the file, which end in ${quote(name)} of ${quote(this.name)}`)
    return original.call(this, name, shape, dtype, zeros, regularizer, trainable, constraint)
  }
  return () => {
    prototype.addWeight = original
  }
}

type AddWeight = (
  this: tfl.layers.Layer,
  name: string,
  shape: number[],
  dtype?: unknown,
  initializer?: unknown,
  regularizer?: unknown,
  trainable?: unknown,
  constraint?: unknown,
) => unknown

function check(model: tfl.LayersModel, { specs }: ModelFile): void {
  const issues: string[] = []
  // A Sequential that says no input shape is made with its first batch.
  if (!Array.isArray(model.inputs) || model.inputs.length === 0) issues.push('modelTopology: says no input shape')
  for (const layer of model.layers)
    if (layer.stateful) {
      const name = quote(layer.name)
      issues.push(`layer ${name}: keeps state from run to run, and runs are independent; save it with stateful: false`)
    }
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]))
  for (const { originalName, shape } of model.weights) {
    const given = shapes.get(originalName)
    if (given !== undefined && given.join() !== shape.join())
      issues.push(
        `weight ${quote(originalName)}: has shape [${given.join(', ')}], its layer needs [${shape.join(', ')}]`,
      )
  }
  refuse(listed(issues))
}

/** Puts the file's weights in their places; throws naming those that have none, or places that stay empty. */
function setWeights(model: tfl.LayersModel, { specs, weights }: ModelFile): void {
  tf.tidy(() => {
    const named = tf.io.decodeWeights(weights.buffer, [...specs])
    // The optimizer's are for training on.
    for (const { name, group } of specs) if (group === 'optimizer') delete named[name]
    model.loadWeights(named, true)
  })
}

/** One layer may give two outputs, by one name. */
function unique(names: readonly string[]): string[] {
  const seen = new Map<string, number>()
  return names.map((name) => {
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    return count === 0 ? name : `${name}_${count}`
  })
}
