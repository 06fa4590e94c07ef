import type { OnnxWebRuntime, OnnxWebSession } from '@tideway/runtime-onnx-web'
import { INPUT, OUTPUT, PIXELS, SIDE } from '../shared.js'

/** Runs of which the middle one is told. */
const TIMED_RUNS = 15

/** A loaded model, and how fast it is. */
export class Classifier {
  private readonly times: number[] = []

  private constructor(private readonly session: OnnxWebSession) {}

  static async load(runtime: OnnxWebRuntime, model: Uint8Array, provider: string): Promise<Classifier> {
    const classifier = new Classifier(await runtime.load(model, { provider }))
    // The first run is not like the others: WebGPU compiles its shaders in it.
    await classifier.classify(new Float32Array(PIXELS))
    classifier.times.length = 0
    return classifier
  }

  get provider(): string {
    return this.session.provider
  }

  get threads(): number {
    return this.session.threads
  }

  /** Milliseconds of a run of one image: the median of the last ones; undefined before the first. */
  get milliseconds(): number | undefined {
    return this.times.toSorted((a, b) => a - b)[this.times.length >> 1]
  }

  /** Probabilities of the classes for each image, end to end. */
  async classify(images: Float32Array): Promise<Float32Array> {
    const count = images.length / PIXELS
    const begin = performance.now()
    const { [OUTPUT]: output } = await this.session.run({
      [INPUT]: { dtype: 'float32', shape: [count, SIDE, SIDE, 1], data: images },
    })
    if (count === 1) this.times.unshift(performance.now() - begin)
    this.times.splice(TIMED_RUNS)
    return output?.data as Float32Array
  }

  /** The most likely class of each image. */
  async classesOf(images: Float32Array): Promise<number[]> {
    const count = images.length / PIXELS
    if (count === 0) return []
    const all = await this.classify(images)
    const width = all.length / count
    return Array.from({ length: count }, (_, row) => largest(all.subarray(row * width, (row + 1) * width)))
  }

  dispose(): Promise<void> {
    return this.session.dispose()
  }
}

export const largest = (values: Float32Array): number => values.indexOf(Math.max(...values))
