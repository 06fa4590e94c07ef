import type { TrainData, TrainJob } from '@tideway/core'
import { createHost, tokens } from '@tideway/core'
import { attributesOf, graphOf, readModel, signatureOf } from '@tideway/onnx'
import { cornersData, cornersJob, trainerContract } from '@tideway/test/contract/trainer'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { onnxTrainer } from './plugin.js'
import { createOnnxTrainer } from './trainer.js'

trainerContract('trainer-onnx', () => createOnnxTrainer({ threads: 1 }))
trainerContract('trainer-onnx on two threads', () => createOnnxTrainer({ threads: 2 }))

const trainer = createOnnxTrainer({ threads: 1 })

async function infer(onnx: Uint8Array, rows: Float32Array, shape: readonly number[]): Promise<number[]> {
  const session = await InferenceSession.create(onnx)
  const out = await session.run({ [session.inputNames[0] as string]: new Tensor('float32', rows, shape) })
  await session.release()
  return Array.from(out[session.outputNames[0] as string]?.data as Float32Array)
}

describe('the exported model', () => {
  it("holds only what inference needs, with a free batch and the network's names", async () => {
    const { onnx } = await trainer.fit({ ...cornersJob, epochs: 1 }, { train: cornersData(100, 1) })
    const model = readModel(onnx)
    expect(signatureOf(model)).toEqual({
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
      outputs: [{ name: 'probabilities', dtype: 'float32', shape: [null, 3] }],
    })
    expect(graphOf(model).node.map((node) => node.opType)).toEqual(['Gemm', 'Tanh', 'Gemm', 'Softmax'])
    expect(attributesOf(graphOf(model).node[3]!)).toEqual({ axis: -1n })
    expect(graphOf(model).initializer.map((tensor) => tensor.name)).toEqual([
      'dense_1/kernel',
      'dense_1/bias',
      'dense_2/kernel',
      'dense_2/bias',
    ])
  })

  it('gives what the trainer measured: the same accuracy on the validation rows', async () => {
    const validation = cornersData(60, 2)
    const { onnx, metrics } = await trainer.fit(
      { ...cornersJob, epochs: 3 },
      { train: cornersData(100, 1), validation },
    )
    const probabilities = await infer(onnx, validation.inputs.data as Float32Array, [60, 2])
    const classes = Array.from({ length: 60 }, (_, row) => {
      const own = probabilities.slice(row * 3, row * 3 + 3)
      expect(own.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5)
      return own.indexOf(Math.max(...own))
    })
    const right = classes.filter((label, row) => label === (validation.targets.data as Int32Array)[row]).length
    expect(right / 60).toBeCloseTo(metrics['valAccuracy'] ?? 0, 9)
    const loss = probabilities.length / 3
    const sum = classes.reduce(
      (total, _, row) =>
        total - Math.log(probabilities[row * 3 + ((validation.targets.data as Int32Array)[row] ?? 0)] ?? 0),
      0,
    )
    expect(sum / loss).toBeCloseTo(metrics['valLoss'] ?? 0, 4)
  })
})

describe('layers', () => {
  it('train on uint8 rows as on the same float32 rows, bit for bit', async () => {
    const bytes = Uint8Array.from({ length: 90 * 4 }, (_, at) => (at * 37 + (at >> 3) * 11) % 256)
    const targets = {
      dtype: 'int32' as const,
      shape: [90],
      data: Int32Array.from({ length: 90 }, (_, row) => ((bytes[row * 4] ?? 0) > 127 ? 1 : 0)),
    }
    const job: TrainJob = {
      ...cornersJob,
      epochs: 2,
      network: {
        input: { name: 'pixels', shape: [4] },
        output: { name: 'y' },
        layers: [
          { type: 'rescaling', scale: 1 / 255, offset: -0.5 },
          { type: 'dense', units: 2, activation: 'softmax', useBias: false, name: 'head' },
        ],
      },
    }
    const small = await trainer.fit(job, {
      train: { inputs: { dtype: 'uint8', shape: [90, 4], data: bytes }, targets },
    })
    const wide = await trainer.fit(job, {
      train: { inputs: { dtype: 'float32', shape: [90, 4], data: Float32Array.from(bytes) }, targets },
    })
    expect(Buffer.compare(small.onnx, wide.onnx)).toBe(0)
    const graph = graphOf(readModel(small.onnx))
    expect(graph.node.map((node) => node.opType)).toEqual(['Mul', 'Add', 'MatMul', 'Softmax'])
    expect(graph.initializer.map((tensor) => tensor.name)).toContain('head/kernel')
  })

  it('normalize by the training rows, in the exported model too, and keep a constant feature finite', async () => {
    const rows = 50
    const data = new Float32Array(rows * 3)
    for (let row = 0; row < rows; row++) data.set([1000 + row, row * 0.01, 5], row * 3)
    const train: TrainData = {
      inputs: { dtype: 'float32', shape: [rows, 3], data },
      targets: {
        dtype: 'float32',
        shape: [rows, 1],
        data: Float32Array.from({ length: rows }, (_, row) => row / 25 - 1),
      },
    }
    const job: TrainJob = {
      ...cornersJob,
      loss: 'meanSquaredError',
      epochs: 60,
      network: {
        input: { name: 'x', shape: [3] },
        output: { name: 'y' },
        layers: [{ type: 'rescaling', scale: 2, offset: 1 }, { type: 'normalization' }, { type: 'dense', units: 1 }],
      },
    }
    const { onnx, metrics, checkpoint } = await trainer.fit(job, { train })
    expect(metrics['loss']).toBeLessThan(0.05)
    const mean = (data.filter((_, at) => at % 3 === 0).reduce((a, b) => a + b, 0) / rows) * 2 + 1
    const stored = graphOf(readModel(onnx)).initializer.find((tensor) => tensor.name === 'normalization_2/mean')
    expect(new Float32Array(stored!.rawData!.slice().buffer)[0]).toBeCloseTo(mean, 2)
    expect((await infer(onnx, Float32Array.of(1010, 0.1, 6), [1, 3])).every(Number.isFinite)).toBe(true)

    // Other rows: the statistics stay those that the weights were trained behind.
    const shifted: TrainData = {
      ...train,
      inputs: { dtype: 'float32', shape: [rows, 3], data: data.map((value) => value * 2) },
    }
    const more = await trainer.fit({ ...job, epochs: 1 }, { train: shifted, initializeFrom: checkpoint })
    const kept = graphOf(readModel(more.onnx)).initializer.find((tensor) => tensor.name === 'normalization_2/mean')
    expect(kept?.rawData).toEqual(stored?.rawData)
  })

  it('are refused where the loss does not fit them', async () => {
    const network = {
      input: { name: 'x', shape: [2, 2] },
      output: { name: 'y' },
      layers: [{ type: 'dense', units: 3, activation: 'relu' }],
    } as const
    const loss = { type: 'softmaxCrossEntropy', classWeights: [1, 2, 3, 4] } as const
    await expect(trainer.fit({ ...cornersJob, network, loss }, { train: cornersData(9, 1) })).rejects.toMatchObject({
      code: 'TRAIN_CONFIG_INVALID',
      data: {
        issues: [
          /needs softmax \(or linear: logits\) at the end/,
          /an output of one axis, not \[2, 3\]/,
          /classWeights/,
        ].map((text) => expect.stringMatching(text)),
      },
    })
  })

  it('are refused where they make no sense, each with its place', async () => {
    const network = {
      input: { name: 'x', shape: [2, 2] },
      output: { name: 'x' },
      layers: [
        { type: 'dense', units: 3, activation: 'relu', name: 'a' },
        { type: 'normalization', name: 'a' },
      ],
    } as const
    const refused = trainer.fit({ ...cornersJob, network }, { train: cornersData(9, 1) })
    await expect(refused).rejects.toMatchObject({
      code: 'TRAIN_CONFIG_INVALID',
      data: {
        issues: [/output\.name/, /"a" is taken/, /layers\.1 \(a\): only rescaling/].map((text) =>
          expect.stringMatching(text),
        ),
      },
    })
  })
})

describe('checkpoints', () => {
  it('let a finished job go on for more epochs, as if it had been asked for them', async () => {
    const train = cornersData(100, 1)
    const short = await trainer.fit({ ...cornersJob, epochs: 2 }, { train })
    const long = await trainer.fit({ ...cornersJob, epochs: 5 }, { train })
    const more = await trainer.fit({ ...cornersJob, epochs: 5 }, { train, resumeFrom: short.checkpoint })
    expect(Buffer.compare(more.onnx, long.onnx)).toBe(0)
    const done = await trainer.fit({ ...cornersJob, epochs: 5 }, { train, resumeFrom: long.checkpoint })
    expect(Buffer.compare(done.onnx, long.onnx)).toBe(0)
    expect(done.metrics).toEqual(long.metrics)
  })

  it('of other rows, or further on than the job, are refused', async () => {
    const { checkpoint } = await trainer.fit({ ...cornersJob, epochs: 2 }, { train: cornersData(100, 1) })
    const mismatch = { code: 'CHECKPOINT_MISMATCH' }
    await expect(
      trainer.fit({ ...cornersJob, epochs: 1 }, { train: cornersData(100, 1), resumeFrom: checkpoint }),
    ).rejects.toMatchObject(mismatch)
    await expect(
      trainer.fit({ ...cornersJob, epochs: 3 }, { train: cornersData(99, 1), resumeFrom: checkpoint }),
    ).rejects.toMatchObject(mismatch)
  })
})

describe('the plugin', () => {
  it('gives the host its trainer', async () => {
    const host = createHost()
    host.use(onnxTrainer())
    expect(host.get(tokens.trainer).name).toBe('onnx')
  })
})
