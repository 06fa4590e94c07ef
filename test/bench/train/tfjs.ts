import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
// Registers the gradients.
import '@tensorflow/tfjs-layers'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import type { Outcome } from './outcome.js'
import { withWasmThreads } from './wasm-threads.js'

/** What TensorFlow.js trains on: rows, the weights to start from, and each epoch's order of rows. */
export interface TfjsPlan {
  readonly inputs: Float32Array
  readonly targets: Int32Array
  readonly width: number
  readonly classes: number
  readonly batch: number
  readonly learningRate: number
  readonly threads: number
  readonly weights: Readonly<Record<string, Float32Array>>
  readonly orders: readonly Uint32Array[]
}

/**
 * Trains a dense network on a backend of TensorFlow.js the fastest way found: a loop by hand with fused products and
 * `optimizer.minimize`, tensors on the backend, one upload of rows a step (model.fit is slower). One step beforehand is
 * not counted: kernels are set up in it.
 */
export async function trainOnTfjs(backend: 'wasm' | 'cpu', plan: TfjsPlan): Promise<Outcome> {
  await useBackend(backend, plan.threads)
  trainEpoch(makeModel(plan), plan, (plan.orders[0] as Uint32Array).subarray(0, plan.batch))
  const model = makeModel(plan)
  const started = performance.now()
  let finalLoss = Number.NaN
  for (const order of plan.orders) finalLoss = trainEpoch(model, plan, order)
  const ended = performance.now()
  const rows = plan.orders.reduce((sum, order) => sum + order.length, 0)
  for (const variable of model.variables) variable.dispose()
  return {
    samplesPerSecond: rows / ((ended - started) / 1000),
    finalLoss,
    threads: backend === 'wasm' ? plan.threads : 1,
    engineVersion: `tfjs ${tf.version_core}`,
  }
}

let wasmReady = false

async function useBackend(backend: 'wasm' | 'cpu', threads: number): Promise<void> {
  const start = async (): Promise<void> => {
    await tf.setBackend(backend)
    await tf.ready()
  }
  if (backend !== 'wasm' || wasmReady) return start()
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/package.json')
  setWasmPaths(join(dirname(entry), 'dist/'))
  await withWasmThreads(threads, start)
  if ((await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')) !== true) throw new Error('this Node has no wasm SIMD')
  wasmReady = true
}

interface Model {
  readonly variables: readonly [tf.Variable<tf.Rank.R2>, tf.Variable, tf.Variable<tf.Rank.R2>, tf.Variable]
  readonly optimizer: tf.Optimizer
}

function makeModel({ weights, width, classes, learningRate }: TfjsPlan): Model {
  const of = (name: string): Float32Array => weights[name] as Float32Array
  const hidden = of('hidden/bias').length
  return {
    variables: [
      tf.variable(tf.tensor2d(of('hidden/kernel').slice(), [width, hidden])),
      tf.variable(tf.tensor1d(of('hidden/bias').slice())),
      tf.variable(tf.tensor2d(of('head/kernel').slice(), [hidden, classes])),
      tf.variable(tf.tensor1d(of('head/bias').slice())),
    ],
    optimizer: tf.train.adam(learningRate, 0.9, 0.999, 1e-7),
  }
}

/** Runs over the rows in order and returns their mean loss. */
function trainEpoch({ variables: [w1, b1, w2, b2], optimizer }: Model, plan: TfjsPlan, order: Uint32Array): number {
  let sum = 0
  for (let begin = 0; begin < order.length; begin += plan.batch) {
    const rows = order.subarray(begin, begin + plan.batch)
    const inputs = new Float32Array(rows.length * plan.width)
    for (const [at, row] of rows.entries())
      inputs.set(plan.inputs.subarray(row * plan.width, (row + 1) * plan.width), at * plan.width)
    const targets = Int32Array.from(rows, (row) => plan.targets[row] as number)
    const loss = tf.tidy(() => {
      const x = tf.tensor2d(inputs, [rows.length, plan.width])
      const wanted = tf.oneHot(tf.tensor1d(targets, 'int32'), plan.classes)
      const step = (): tf.Scalar => {
        const hidden = tf.fused.matMul({
          a: x,
          b: w1,
          transposeA: false,
          transposeB: false,
          bias: b1,
          activation: 'relu',
        })
        const logits = tf.fused.matMul({ a: hidden, b: w2, transposeA: false, transposeB: false, bias: b2 })
        return tf.losses.softmaxCrossEntropy(wanted, logits) as tf.Scalar
      }
      return optimizer.minimize(step, true) as tf.Scalar
    })
    sum += (loss.dataSync()[0] ?? Number.NaN) * rows.length
    loss.dispose()
  }
  return sum / order.length
}
