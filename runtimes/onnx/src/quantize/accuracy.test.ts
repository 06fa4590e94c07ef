import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { InferenceSession } from 'onnxruntime-node'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { classifier, floats, modelOf, normal, runOnce, uniform } from './models.fixture.js'
import { createInt8Quantizer } from './quantizer.js'

const PIXELS = 784
const HIDDEN = 128
const CLASSES = 10

interface Rows {
  readonly x: Float32Array
  readonly labels: Uint8Array
}

/** Pictures of ten overlapping patterns, most pixels black as in handwriting, with noise that confuses some. */
function pictures(count: number, patterns: Float32Array, random: () => number): Rows {
  const x = new Float32Array(count * PIXELS)
  const labels = Uint8Array.from({ length: count }, () => Math.floor(random() * CLASSES))
  for (let row = 0; row < count; row++) {
    const own = labels[row] ?? 0
    const other = Math.floor(random() * CLASSES)
    const blend = 0.2 + 0.28 * random()
    for (let i = 0; i < PIXELS; i++) {
      const ink = (1 - blend) * (patterns[own * PIXELS + i] ?? 0) + blend * (patterns[other * PIXELS + i] ?? 0)
      x[row * PIXELS + i] = ink === 0 ? 0 : Math.min(1, Math.max(0, ink + (random() - 0.5) * 0.8))
    }
  }
  return { x, labels }
}

/** Softmax regression on the hidden layer's outputs by plain gradient descent; returns [classes, hidden] and biases. */
function fitHead(hidden: Float32Array, labels: Uint8Array) {
  const weight = new Float32Array(CLASSES * HIDDEN)
  const bias = new Float32Array(CLASSES)
  const logits = new Float64Array(CLASSES)
  for (let epoch = 0; epoch < 12; epoch++) {
    for (const [row, label] of labels.entries()) {
      const h = hidden.subarray(row * HIDDEN, (row + 1) * HIDDEN)
      for (let c = 0; c < CLASSES; c++) {
        let sum = bias[c] ?? 0
        for (let i = 0; i < HIDDEN; i++) sum += (h[i] ?? 0) * (weight[c * HIDDEN + i] ?? 0)
        logits[c] = sum
      }
      const most = Math.max(...logits)
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)
      for (let c = 0; c < CLASSES; c++) {
        const step = 0.01 * (Math.exp((logits[c] ?? 0) - most) / total - (c === label ? 1 : 0))
        bias[c] = (bias[c] ?? 0) - step
        for (let i = 0; i < HIDDEN; i++) weight[c * HIDDEN + i] = (weight[c * HIDDEN + i] ?? 0) - step * (h[i] ?? 0)
      }
    }
  }
  return { weight, bias }
}

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

async function accuracy(model: Uint8Array, { x, labels }: Rows): Promise<number> {
  const p = await runOnce(runtime, model, { x: floats([labels.length, PIXELS], x) })
  let right = 0
  for (const [row, label] of labels.entries()) {
    const scores = p.subarray(row * CLASSES, (row + 1) * CLASSES)
    if (scores.indexOf(Math.max(...scores)) === label) right++
  }
  return right / labels.length
}

describe('int8 on a 784-128-10 network that classifies pictures', () => {
  const random = uniform(99)
  const patterns = Float32Array.from({ length: CLASSES * PIXELS }, () => (random() < 0.25 ? random() : 0))
  const w1 = floats([PIXELS, HIDDEN], normal(PIXELS * HIDDEN, 0.1, random))
  const b1 = floats([HIDDEN], normal(HIDDEN, 0.1, random))
  const [train, calibration, test] = [1500, 500, 2000].map((count) => pictures(count, patterns, random)) as [
    Rows,
    Rows,
    Rows,
  ]
  let float: Uint8Array
  let int8: Uint8Array

  beforeAll(async () => {
    const hiddenLayer = modelOf({
      input: [{ name: 'x', dtype: 'float32', shape: [null, PIXELS] }],
      output: { name: 'h', dtype: 'float32', shape: [null, HIDDEN] },
      node: [makeNode('Gemm', ['x', 'w1', 'b1'], ['a']), makeNode('Relu', ['a'], ['h'])],
      constants: { w1, b1 },
    })
    const hidden = await runOnce(runtime, hiddenLayer, { x: floats([train.labels.length, PIXELS], train.x) })
    const { weight, bias } = fitHead(hidden, train.labels)
    float = classifier([w1, b1, floats([CLASSES, HIDDEN], weight), floats([CLASSES], bias)])
    const rows = { x: floats([calibration.labels.length, PIXELS], calibration.x) }
    int8 = (await createInt8Quantizer().quantize(float, rows, runtime, { precision: 'int8' })).onnx
  })

  it('loses at most 0.005 of accuracy on held-out rows', async () => {
    const [before, after] = [await accuracy(float, test), await accuracy(int8, test)]
    expect(before).toBeGreaterThan(0.85)
    expect(before).toBeLessThan(0.999)
    expect(before - after).toBeLessThanOrEqual(0.005)
  })

  it('makes a file at least 3.5 times smaller', () => {
    expect(float.byteLength / int8.byteLength).toBeGreaterThan(3.9)
  })

  it('runs on integer kernels in ONNX Runtime, from the first layer to the last', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tideway-int8-'))
    try {
      const path = join(folder, 'optimized.onnx')
      const session = await InferenceSession.create(int8, { optimizedModelFilePath: path, logSeverityLevel: 3 })
      await session.release()
      const nodes = readModel(await readFile(path)).graph?.node.map((node) => node.opType)
      expect(nodes).toEqual(['QuantizeLinear', 'QGemm', 'QGemm', 'Softmax'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
