import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxWebRuntime } from '@tideway/runtime-onnx-web'
import { writeTrainingStep } from '@tideway/training'
import { beforeAll, describe, expect, it } from 'vitest'
import { HEAD_JOB, trainDigits } from '../model/train.js'
import { CLASSES, PIXELS, type Rows } from '../shared.js'
import { Classifier } from './classifier.js'
import { batches, LastLayer } from './last-layer.js'

type Files = Parameters<typeof LastLayer.load>[1]
let files: Files
let known: Rows
/** Images that are no digit: a bright frame, one of them shifted. */
const taught: Rows = {
  images: Float32Array.from({ length: 2 * PIXELS }, (_, at) => {
    const [row, x, y] = [Math.floor(at / PIXELS), at % 28, Math.floor((at % PIXELS) / 28)]
    return Number([5 + row, 22].includes(x) || [5, 22 - row].includes(y))
  }),
  classes: [11, 11],
}

beforeAll(async () => {
  const { base, model, train } = await trainDigits({ epochs: 1, rows: 800 })
  const { onnx, carried, parameters, initial } = writeTrainingStep(HEAD_JOB, { base })
  files = { model: model.onnx, step: onnx, plan: { carried, parameters }, initial }
  const classes = [...(train.targets.data as Int32Array)].slice(0, 60)
  known = { images: (train.inputs.data as Float32Array).slice(0, 60 * PIXELS), classes }
})

describe('the last layer, trained as in the page', () => {
  it('goes the same way on WebAssembly as on the engine of the trainer', async () => {
    const losses: number[][] = []
    for (const runtime of [createOnnxWebRuntime(), createOnnxNodeRuntime()]) {
      const layer = await LastLayer.load(runtime, files)
      const batch = batches(taught, known)
      losses.push([])
      for (let step = 0; step < 12; step++) losses.at(-1)!.push(await layer.step(batch.next().value, 0.02))
      await layer.dispose()
    }
    const [web, node] = losses
    expect(web!.at(-1)).toBeLessThan(web![0]!)
    // Float sums in another order, over a dozen steps of Adam.
    for (const [step, loss] of web!.entries()) expect(Math.abs(loss - node![step]!)).toBeLessThan(1e-3)
  })

  it('gives a model that reads what it was taught, and all but the last layer is as before', async () => {
    const runtime = createOnnxWebRuntime()
    const layer = await LastLayer.load(runtime, files)
    const batch = batches(taught, known)
    const untouched = layer.model()
    for (let step = 0; step < 20; step++) await layer.step(batch.next().value, 0.02)
    const trained = layer.model()
    await layer.dispose()
    expect(Buffer.compare(untouched, files.model)).toBe(0)
    expect(trained.length).toBe(untouched.length)
    const changed = trained.reduce((count, byte, at) => count + Number(byte !== untouched[at]), 0)
    // 64 features and a bias for each class, 4 bytes each.
    expect(changed).toBeLessThanOrEqual(65 * CLASSES.length * 4)
    for (const [model, wanted] of [
      [untouched, 0],
      [trained, 2],
    ] as const) {
      const classifier = await Classifier.load(runtime, model, 'wasm')
      const read = await classifier.classesOf(taught.images)
      expect(read.filter((label) => label === 11)).toHaveLength(wanted)
      await classifier.dispose()
    }
  })
})
