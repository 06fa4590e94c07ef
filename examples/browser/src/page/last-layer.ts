import type { Runtime, Session, Tensor, Tensors } from '@tideway/core'
import { findInitializer, graphOf, readModel, setInitializer, toTensor, writeModel } from '@tideway/onnx'
import { BATCH, HEAD, PIXELS, type Rows, SIDE } from '../shared.js'
import type { ModelFiles } from './files.js'

type TrainingFiles = Pick<ModelFiles, 'model' | 'step' | 'plan' | 'initial'>

/**
 * The last layer of a model in training: the trainer's own graph (forward pass, loss, gradients, Adam), run step by step.
 * What a step gives is what the next one takes.
 */
export class LastLayer {
  private carried: Tensors
  private steps = 0

  private constructor(
    private readonly session: Session,
    private readonly files: TrainingFiles,
  ) {
    const { plan, initial, model } = files
    const carried = structuredClone(initial) as Record<string, Tensor>
    // Training goes on from the model's own weights.
    const graph = graphOf(readModel(model))
    for (const [name, { tensor, offset }] of Object.entries(plan.parameters))
      (carried[tensor]!.data as Float32Array).set(toTensor(findInitializer(graph, name)!).data as Float32Array, offset)
    this.carried = carried
  }

  /** `model` is the one whose last layer is trained on; the others are as the build wrote them. */
  static async load(runtime: Runtime, files: TrainingFiles, provider?: string): Promise<LastLayer> {
    return new LastLayer(await runtime.load(files.step, { provider }), files)
  }

  /** One step on so many rows as a batch has; the loss before it. */
  async step({ images, classes }: Rows, learningRate: number): Promise<number> {
    if (classes.length !== BATCH) throw new RangeError(`A step takes ${BATCH} rows, not ${classes.length}`)
    this.steps += 1
    const out = await this.session.run({
      ...this.carried,
      rows: { dtype: 'float32', shape: [BATCH, SIDE, SIDE, 1], data: images },
      targets: { dtype: 'int32', shape: [BATCH], data: Int32Array.from(classes) },
      learning_rate: { dtype: 'float32', shape: [], data: Float32Array.of(learningRate) },
      step: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(this.steps)) },
    })
    const { carried } = this.files.plan
    this.carried = Object.fromEntries(Object.entries(carried).map(([name, next]) => [name, out[next] as Tensor]))
    return Number(out['loss']?.data[0])
  }

  /** The model with the last layer as it is now: an ONNX file. */
  model(): Uint8Array {
    const model = readModel(this.files.model)
    const graph = graphOf(model)
    for (const name of Object.values(HEAD)) {
      const { tensor, offset, shape } = this.files.plan.parameters[name]!
      const count = shape.reduce((product, size) => product * size, 1)
      const data = (this.carried[tensor]!.data as Float32Array).slice(offset, offset + count)
      setInitializer(graph, name, { dtype: 'float32', shape, data })
    }
    return writeModel(model)
  }

  dispose(): Promise<void> {
    return this.session.dispose()
  }
}

/**
 * Batches for teaching: half of what is to be learnt, each as often as the others, and half of what is known, in turn, so
 * that it is not forgotten.
 */
export function* batches(taught: Rows, known: Rows): Generator<Rows, never> {
  const turn = ({ images, classes }: Rows, at: number) => {
    const row = at % classes.length
    return { image: images.subarray(row * PIXELS, (row + 1) * PIXELS), label: classes[row]! }
  }
  // A stride without a common divisor with the number of rows goes through all classes.
  const stride = 37
  for (let batch = 0; ; batch++) {
    const images = new Float32Array(BATCH * PIXELS)
    const classes: number[] = []
    for (let place = 0; place < BATCH; place++) {
      const at = batch * (BATCH / 2) + (place >> 1)
      const { image, label } = place % 2 === 0 ? turn(taught, at) : turn(known, at * stride)
      images.set(image, place * PIXELS)
      classes.push(label)
    }
    yield { images, classes }
  }
}
