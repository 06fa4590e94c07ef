import type { LossConfig, NetworkConfig, TrainContext, TrainData, TrainJob } from '@tideway/core'
import { differentiate, GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { patterns, SIDE } from '@tideway/test/support/backbone'
import { addTeacher, importTrainable } from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { seeded } from '../../../../runtimes/training/src/imported/train.fixture.js'
import { createOnnxTrainer } from '../trainer.js'

const random = seeded(5)
const numbers = (count: number): number[] => Array.from({ length: count }, () => random() * 4 - 2)

/** A teacher of one dense layer, that ends as a loss wants it. */
function dense(kernel: readonly number[], end?: 'Softmax' | 'Sigmoid'): Uint8Array {
  const g = new GraphBuilder('teacher')
  const x = g.input('x', 'float32', [null, 2])
  const w = g.initializer('w', { dtype: 'float32', shape: [2, 3], data: Float32Array.from(kernel) })
  const logits = g.op('MatMul', [x, w])
  g.output('y', end === undefined ? logits : g.op(end, [logits], {}))
  return writeModel(g.build())
}

const softmax = (row: readonly number[]): number[] => {
  const sum = row.reduce((all, x) => all + Math.exp(x), 0)
  return row.map((x) => Math.exp(x) / sum)
}
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** The loss of one row by its definition, in float64, from both models' outputs before their last activation. */
const PLAIN: Record<string, (student: number[], teacher: number[], temperature: number) => number> = {
  softmaxCrossEntropy: (student, teacher, T) => {
    const [ours, theirs] = [student, teacher].map((row) => softmax(row.map((x) => x / T))) as [number[], number[]]
    return T ** 2 * -theirs.reduce((sum, share, at) => sum + share * Math.log(ours[at] ?? 0), 0)
  },
  sigmoidCrossEntropy: (student, teacher, T) =>
    T ** 2 *
    mean(
      student.map((x, at) => {
        const [p, z] = [sigmoid(x / T), sigmoid((teacher[at] ?? 0) / T)]
        return -(z * Math.log(p) + (1 - z) * Math.log(1 - p))
      }),
    ),
  meanAbsoluteError: (student, teacher) => mean(student.map((x, at) => (x - (teacher[at] ?? 0)) ** 2)),
}

const ENDS: Record<string, 'Softmax' | 'Sigmoid' | undefined> = {
  softmaxCrossEntropy: 'Softmax',
  sigmoidCrossEntropy: 'Sigmoid',
}

describe('the loss against a teacher', () => {
  for (const name of Object.keys(PLAIN))
    for (const temperature of [1, 3.5])
      it(`of ${name} at temperature ${temperature} is what its definition says, and so is its slope`, async () => {
        const [kernel, rows, student] = [numbers(6), numbers(8), numbers(12)]
        const g = new GraphBuilder('loss')
        const x = g.input('rows', 'float32', [4, 2])
        const logits = g.input('student', 'float32', [4, 3])
        const network = importTrainable(dense(kernel, ENDS[name]))
        const teacher = { network, temperature, weight: 1 }
        const loss = addTeacher(g, teacher, x, { logits, output: logits }, name as LossConfig)
        g.output('loss', loss)
        g.output('slope', differentiate(g, loss, [logits])[0] as Value)
        const session = await InferenceSession.create(writeModel(g.build()), { logSeverityLevel: 3 })
        const out = await session.run({
          rows: new Tensor('float32', Float32Array.from(rows), [4, 2]),
          student: new Tensor('float32', Float32Array.from(student), [4, 3]),
        })
        await session.release()
        const plain = (values: readonly number[]): number =>
          mean(
            Array.from({ length: 4 }, (_, row) => {
              const theirs = [0, 1, 2].map(
                (at) => (rows[row * 2] ?? 0) * (kernel[at] ?? 0) + (rows[row * 2 + 1] ?? 0) * (kernel[3 + at] ?? 0),
              )
              return PLAIN[name]?.(values.slice(row * 3, row * 3 + 3), theirs, temperature) ?? Number.NaN
            }),
          )
        const h = 1e-6
        // The graph's float32 has seven digits; losses here are up to 30.
        expect(Math.abs(Number(out['loss']?.data[0]) - plain(student))).toBeLessThan(1e-6 * (1 + plain(student)) * 10)
        for (const at of student.keys()) {
          const moved = (by: number) => plain(student.map((value, place) => (place === at ? value + by : value)))
          const slope = (moved(h) - moved(-h)) / (2 * h)
          expect(Math.abs(Number(out['slope']?.data[at]) - slope)).toBeLessThan(1e-5 * (1 + Math.abs(slope)))
        }
      })
})

const layersOf = (filters: number): NetworkConfig['layers'] => [
  { type: 'conv2d', filters, kernelSize: 3 },
  { type: 'batchNormalization', momentum: 0.9 },
  { type: 'activation', activation: 'relu' },
  { type: 'flatten' },
  { type: 'dense', units: 3, activation: 'softmax' },
]
const input = { name: 'image', shape: [SIDE, SIDE, 1] }
const large: NetworkConfig = { input, output: { name: 'p' }, layers: layersOf(8) }
const small: NetworkConfig = { input, output: { name: 'p' }, layers: layersOf(2) }

function rows(count: number, seed: number): TrainData & { readonly labels: Int32Array } {
  const { pixels, labels } = patterns(count, seed)
  const data = Float32Array.from(pixels, (value) => value / 255)
  return {
    inputs: { dtype: 'float32', shape: [count, ...input.shape], data },
    targets: { dtype: 'int32', shape: [count], data: labels },
    labels,
  }
}

const trainer = createOnnxTrainer({ threads: 1 })
const train = rows(160, 1)
const held = rows(90, 2)
const job: TrainJob = {
  network: small,
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 16,
  epochs: 4,
  seed: 2,
}
const { onnx: teacher } = await trainer.fit({ ...job, network: large, seed: 1 }, { train })

/** Targets that say nothing. */
const wrong: TrainData = {
  inputs: train.inputs,
  targets: { dtype: 'int32', shape: [160], data: Int32Array.from({ length: 160 }, () => Math.floor(random() * 3)) },
}

async function classes(onnx: Uint8Array): Promise<number[]> {
  const session = await createOnnxNodeRuntime().load(onnx)
  const { p } = await session.run({ image: held.inputs })
  await session.dispose()
  const shares = Array.from(p?.data as Float32Array)
  return Array.from({ length: 90 }, (_, row) => {
    const own = shares.slice(row * 3, row * 3 + 3)
    return own.indexOf(Math.max(...own))
  })
}

async function agreement(onnx: Uint8Array): Promise<number> {
  const [ours, theirs] = [await classes(onnx), await classes(teacher)]
  return ours.filter((label, row) => label === theirs[row]).length / ours.length
}

const fit = (changes: Partial<TrainJob> = {}, context: Partial<TrainContext> = {}) =>
  trainer.fit({ ...job, ...changes }, { train: wrong, teacher, ...context })

describe('distillation', () => {
  it('brings a smaller network to agree with its teacher, whatever the targets say', async () => {
    const alone = await agreement((await trainer.fit(job, { train: wrong })).onnx)
    const taught = await fit({ distillation: { weight: 1 } })
    expect(alone).toBeLessThan(0.8)
    expect(await agreement(taught.onnx)).toBeGreaterThan(0.95)
    expect(taught.onnx.byteLength).toBeLessThan(teacher.byteLength / 2)
  })

  it('weighs teacher and targets as it is told', async () => {
    const shares: number[] = []
    for (const weight of [0, 0.5, 1]) shares.push(await agreement((await fit({ distillation: { weight } })).onnx))
    expect(shares[1]).toBeGreaterThan(shares[0] ?? 1)
    expect(shares[2]).toBeGreaterThanOrEqual(shares[1] ?? 1)
  })

  it('goes on from any epoch as if it had not stopped, but not with another teacher', async () => {
    const checkpoints: Uint8Array[] = []
    const distillation = { temperature: 2 }
    const onCheckpoint = async (bytes: Uint8Array) => void checkpoints.push(bytes.slice())
    const whole = await fit({ distillation, epochs: 3 }, { onCheckpoint })
    for (const resumeFrom of checkpoints) {
      const resumed = await fit({ distillation, epochs: 3 }, { resumeFrom })
      expect(Buffer.compare(resumed.onnx, whole.onnx)).toBe(0)
    }
    const [resumeFrom] = checkpoints
    await expect(
      fit({ distillation, epochs: 3 }, { resumeFrom: resumeFrom as Uint8Array, teacher: whole.onnx }),
    ).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  })

  it('teaches a network that is rounded to few bits, from its own float file on', async () => {
    const distillation = { weight: 1 }
    const { onnx } = await fit(
      {
        network: undefined,
        base: {},
        distillation,
        quantizationAware: { epochs: 4, weightBits: 4, learningRate: 0.01 },
      },
      { base: (await fit({ distillation, epochs: 2 })).onnx },
    )
    expect(await agreement(onnx)).toBeGreaterThan(0.9)
  })

  it('takes a teacher whose rows are flat', async () => {
    const flat: NetworkConfig = {
      ...large,
      input: { name: 'image', shape: [SIDE * SIDE] },
      layers: large.layers.slice(-1),
    }
    const pixels = { ...train, inputs: { ...train.inputs, shape: [160, SIDE * SIDE] } } as TrainData
    const other = await trainer.fit({ ...job, network: flat }, { train: pixels })
    expect((await fit({ distillation: {}, epochs: 1 }, { teacher: other.onnx })).epochs).toBe(1)
  })

  it.each([
    ['without the teacher', { distillation: {} }, { teacher: undefined }, /distillation: the model is missing/],
    ['of a share beyond 1', { distillation: { weight: 2 } }, {}, /distillation: weight/],
    ['without temperature', { distillation: { temperature: 0 } }, {}, /distillation: temperature/],
    [
      'of other outputs',
      { distillation: {} },
      { teacher: dense(numbers(6)) },
      /the teacher takes rows \[2\], the network \[8, 8, 1\]/,
    ],
  ] as const)('is refused %s', async (_name, changes, context, message) => {
    const refused = fit(changes, context as Partial<TrainContext>)
    await expect(refused).rejects.toMatchObject({ code: 'TRAIN_CONFIG_INVALID' })
    await expect(refused).rejects.toThrow(message)
  })
})
