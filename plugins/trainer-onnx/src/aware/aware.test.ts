import type { NetworkConfig, TrainContext, TrainData, TrainJob, TrainProgress } from '@tideway/core'
import {
  createInt8Quantizer,
  createQuantizer,
  graphOf,
  type Int8Model,
  readModel,
  signatureOf,
  takeRounding,
  toTensor,
  valueInfo,
  writeModel,
} from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { backbone, bitsOf, patterns, SIDE } from '@tideway/test/support/backbone'
import { unpack } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from '../trainer.js'

const runtime = createOnnxNodeRuntime()

function rows(count: number, seed: number, shape: readonly number[]): TrainData {
  const { pixels, labels } = patterns(count, seed)
  const data = Float32Array.from(pixels, (value) => value / 255)
  return {
    inputs: { dtype: 'float32', shape: [count, ...shape], data },
    targets: { dtype: 'int32', shape: [count], data: labels },
  }
}

/** Everything that has a rule of its own: normalization, depthwise, a residual sum, joined branches, pooling. */
const network: NetworkConfig = {
  input: { name: 'image', shape: [SIDE, SIDE, 1] },
  output: { name: 'p' },
  layers: [
    { type: 'conv2d', filters: 6, kernelSize: 3, padding: 'same', useBias: false },
    { type: 'batchNormalization' },
    { type: 'activation', activation: 'relu', name: 'stem' },
    { type: 'depthwiseConv2d', kernelSize: 3, padding: 'same' },
    { type: 'batchNormalization', name: 'side' },
    { type: 'add', inputs: ['stem', 'side'] },
    { type: 'maxPooling2d', name: 'half' },
    { type: 'conv2d', filters: 4, kernelSize: 1, activation: 'relu6', name: 'a', inputs: ['half'] },
    { type: 'conv2d', filters: 4, kernelSize: 3, padding: 'same', name: 'b', inputs: ['half'] },
    { type: 'concatenate', inputs: ['a', 'b'] },
    { type: 'globalAveragePooling2d' },
    { type: 'dropout', rate: 0.1 },
    { type: 'dense', units: 3, activation: 'softmax' },
  ],
}

const train = rows(96, 1, network.input.shape)
const validation = rows(64, 2, network.input.shape)
const job: TrainJob = {
  network,
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 16,
  epochs: 5,
  seed: 3,
  quantizationAware: { epochs: 2 },
}
const fit = (changes: Partial<TrainJob> = {}, context: Partial<TrainContext> = {}) =>
  createOnnxTrainer({ threads: 1 }).fit({ ...job, ...changes }, { train, ...context })

const quantize = (onnx: Uint8Array, { inputs }: TrainData): Promise<Int8Model> => {
  const [input] = signatureOf(readModel(onnx)).inputs
  return createInt8Quantizer().quantize(onnx, { [input?.name ?? '']: inputs }, runtime, { precision: 'int8' })
}

/** Mean loss and accuracy of a file. */
async function measure(onnx: Uint8Array, { inputs, targets }: TrainData) {
  const session = await runtime.load(onnx)
  const [input] = session.signature.inputs
  const [output] = Object.values(await session.run({ [input?.name ?? '']: inputs }))
  await session.dispose()
  const shares = output?.data as Float32Array
  const labels = Array.from(targets.data as Int32Array)
  const loss = labels.reduce((sum, label, row) => sum - Math.log(shares[row * 3 + label] ?? 0), 0) / labels.length
  return { loss }
}

/** Mean and variance of each channel of a convolution's result in a float file. */
async function channelsOf(onnx: Uint8Array, name: string, { inputs }: TrainData) {
  const model = readModel(onnx)
  const graph = graphOf(model)
  graph.output = [valueInfo({ name, dtype: 'float32', shape: [null, null, null, null] })]
  const session = await runtime.load(writeModel({ ...model, graph }))
  const [result] = Object.values(await session.run({ image: inputs }))
  await session.dispose()
  const [, count = 0, ...places] = result?.shape ?? []
  const inner = places.reduce((product, size) => product * size, 1)
  return Array.from({ length: count }, (_, channel) => {
    const own = Array.from(result?.data as Float32Array).filter(
      (_value, at) => Math.floor(at / inner) % count === channel,
    )
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length
    return { mean, variance: own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length }
  })
}

const decode = (checkpoint: Uint8Array) =>
  unpack(checkpoint) as { readonly parameters: Readonly<Record<string, Float32Array>> }

describe('quantization-aware training', () => {
  for (const weightBits of [8, 4]) {
    it(`measures in every epoch what the int8 file will do, with weights of ${weightBits} bits`, async () => {
      const { onnx, metrics, history, epochs } = await fit(
        { quantizationAware: { epochs: 2, weightBits } },
        { validation },
      )
      expect([history.length, epochs]).toEqual([5, 5])
      const { onnx: int8, layers } = await quantize(onnx, train)
      const integer = await measure(int8, validation)
      // Values that lie on a half of a step, or nearly, go one way here and the other there.
      expect(Math.abs(integer.loss - (metrics['valLoss'] ?? 0))).toBeLessThan(2e-3)
      expect(layers.filter(({ input }) => input !== null).every(({ input }) => input?.range === 'given')).toBe(true)
      const largest = graphOf(readModel(int8))
        .initializer.map(toTensor)
        .filter(({ dtype }) => dtype === 'int8')
        .flatMap(({ data }) => Array.from(data as Int8Array, Math.abs))
      expect(Math.max(...largest)).toBeLessThanOrEqual(2 ** (weightBits - 1) - 1)
    })
  }

  it('ships the very weights that were trained: integers times scales, in the float file and in the int8 file', async () => {
    const { onnx } = await fit({ quantizationAware: { epochs: 2, weightBits: 3 } })
    const model = readModel(onnx)
    const { scales = {} } = takeRounding(model) ?? {}
    const names = Object.keys(scales)
    expect(names.length).toBe(5)
    const { onnx: int8 } = await quantize(onnx, train)
    const integers = graphOf(readModel(int8)).initializer.map(toTensor)
    for (const tensor of graphOf(model).initializer) {
      const own = scales[tensor.name ?? '']
      if (own === undefined) continue
      const { shape, data: values } = toTensor(tensor)
      const data = values as Float32Array
      // Dense kernels have their channels last.
      const inner = shape.length === 2 ? 1 : data.length / own.length
      const levels = Array.from(data, (value, at) => value / (own[Math.floor(at / inner) % own.length] ?? 1))
      // float32 holds level times factor to 24 bits.
      for (const level of levels) expect(Math.abs(level - Math.round(level))).toBeLessThan(1e-6)
      expect(Math.max(...levels.map(Math.abs))).toBeLessThan(3.5)
      const wanted = levels.map(Math.round)
      const isThis = ({ dtype, data: found }: ReturnType<typeof toTensor>): boolean =>
        dtype === 'int8' && found.length === wanted.length && wanted.every((level, at) => level === Number(found[at]))
      expect(integers.some(isThis), tensor.name).toBe(true)
    }
  })

  it('keeps statistics of the weights as they are, behind whichever steps', async () => {
    const { onnx, checkpoint } = await fit({ epochs: 3, quantizationAware: { epochs: 2, weightBits: 2 } })
    const { parameters } = decode(checkpoint)
    const [name = ''] = Object.keys(parameters).filter((key) => key.startsWith('/gamma/'))
    const output = name.slice('/gamma/'.length)
    const seen = await channelsOf(onnx, output, train)
    for (const [channel, { mean, variance }] of seen.entries()) {
      const gamma = parameters[name]?.[channel] ?? 0
      const beta = parameters[`/beta/${output}`]?.[channel] ?? 0
      // Normalized results have mean and deviation as trained; this file does not round its input, the other did.
      expect(Math.abs(mean - beta)).toBeLessThan(0.01 * Math.abs(gamma))
      expect(Math.abs(Math.sqrt(variance) - Math.abs(gamma))).toBeLessThan(0.01 * Math.abs(gamma))
    }
  })

  it('begins as the file that it began with', async () => {
    const { onnx: base } = await fit({ quantizationAware: undefined })
    const rate = 1e-12
    const { onnx, metrics } = await fit(
      { network: undefined, base: {}, epochs: 1, quantizationAware: { epochs: 1, learningRate: rate } },
      { base, validation },
    )
    const [before, after] = [await measure(base, validation), await measure(onnx, validation)]
    // The statistics of 96 rows for those of the last batches, and the steps of 8 bits.
    expect(Math.abs(after.loss - before.loss)).toBeLessThan(0.05 * before.loss)
    expect(Math.abs((metrics['valLoss'] ?? 0) - before.loss)).toBeLessThan(0.05 * before.loss)
  })

  it('ends in a float file that says the ranges it was trained with, and no int8 file still does', async () => {
    const { onnx } = await fit()
    const rounding = takeRounding(readModel(onnx))
    expect(rounding?.weightBits).toBe(8)
    const recipe = await createQuantizer().quantize(onnx, { image: train.inputs }, runtime, { scheme: 'int8-static' })
    const { onnx: int8 } = await quantize(onnx, train)
    expect(Buffer.compare(recipe.onnx, int8)).toBe(0)
    expect(takeRounding(readModel(int8))).toBeUndefined()
    // Scales of uint8 are those of the ranges, one for each.
    const scales = Object.values(rounding?.ranges ?? {}).map(({ min, max }) =>
      Math.fround(Math.max(0, max) / 255 - Math.min(0, min) / 255),
    )
    const written = new Set(
      graphOf(readModel(int8)).initializer.flatMap((tensor) => {
        const { dtype, shape, data } = toTensor(tensor)
        return dtype === 'float32' && shape.length === 0 ? [Number(data[0])] : []
      }),
    )
    expect(scales.length).toBeGreaterThan(4)
    for (const scale of scales) expect(written.has(scale), `${scale}`).toBe(true)
  })

  it('goes on from any epoch of either part as if it had not stopped', async () => {
    const checkpoints: [number, Uint8Array][] = []
    const onCheckpoint = async (bytes: Uint8Array, at: number) => void checkpoints.push([at, bytes.slice()])
    // Scales are trained, too.
    const four: Partial<TrainJob> = { epochs: 4, quantizationAware: { epochs: 2, weightBits: 3 } }
    const whole = await fit(four, { onCheckpoint })
    expect(checkpoints.map(([at]) => at)).toEqual([1, 2, 3, 4])
    for (const [, resumeFrom] of checkpoints) {
      const resumed = await fit(four, { resumeFrom })
      expect(Buffer.compare(resumed.onnx, whole.onnx)).toBe(0)
      expect(resumed.history).toEqual(whole.history)
      expect([resumed.epochs, resumed.steps]).toEqual([whole.epochs, whole.steps])
    }
    const other = checkpoints.at(-1)?.[1] as Uint8Array
    // Fewer epochs in float than there were: that is another run.
    const earlier = { epochs: 4, quantizationAware: { epochs: 3, weightBits: 3 } }
    await expect(fit(earlier, { resumeFrom: other })).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
  })

  it('may be asked for more epochs at any time: once rounding has begun they are rounded', async () => {
    const checkpoints: Uint8Array[] = []
    await fit({ epochs: 4 }, { onCheckpoint: async (bytes) => void checkpoints.push(bytes.slice()) })
    const [inFloat, , , last] = checkpoints
    const longer = await fit({ epochs: 6 }, { resumeFrom: last as Uint8Array })
    expect([longer.epochs, longer.history.length]).toEqual([6, 6])
    // Two in float, as there were, and four that are rounded: what the same job says outright.
    const same = await fit({ epochs: 6, quantizationAware: { epochs: 4 } }, { resumeFrom: last as Uint8Array })
    expect(Buffer.compare(same.onnx, longer.onnx)).toBe(0)
    const { history } = await fit({ epochs: 5 }, { resumeFrom: inFloat as Uint8Array })
    expect(history).toHaveLength(5)
    await expect(fit({ epochs: 3 }, { resumeFrom: last as Uint8Array })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
    })
  })

  it('reports progress over the whole job', async () => {
    const reports: TrainProgress[] = []
    const { steps, seconds } = await fit({ epochs: 4 }, { onProgress: (progress) => void reports.push(progress) })
    const ends = reports.filter(({ metrics }) => 'loss' in metrics)
    expect(ends.map(({ epoch, epochs, step }) => [epoch, epochs, step])).toEqual([
      [1, 4, 6],
      [2, 4, 12],
      [3, 4, 18],
      [4, 4, 24],
    ])
    expect(new Set(reports.map((report) => report.steps))).toEqual(new Set([24]))
    expect(steps).toBe(24)
    expect(ends[0]?.secondsLeft).toBeGreaterThan(0)
    expect(ends[1]?.secondsLeft).toBeGreaterThan(0)
    expect(ends[3]?.secondsLeft).toBe(0)
    expect(seconds).toBeGreaterThan(0)
  })

  it.each([8, 3])(
    'trains an ONNX file, rounded to %i bits from the first epoch; frozen weights stay',
    async (weightBits) => {
      const base = backbone()
      const given = { train: rows(120, 1, [1, SIDE, SIDE]), validation: rows(60, 2, [1, SIDE, SIDE]), base }
      const { onnx, metrics, history } = await fit(
        {
          network: undefined,
          base: { freeze: ['backbone.*'], head: { classes: 3 } },
          quantizationAware: { epochs: 5, learningRate: 0.02, weightBits },
        },
        given,
      )
      expect(history).toHaveLength(5)
      expect(metrics['valAccuracy']).toBeGreaterThan(0.95)
      for (const name of ['backbone.conv.weight', 'backbone.conv.bias'])
        expect(bitsOf(onnx, name)).toEqual(bitsOf(base, name))
      const { onnx: int8 } = await quantize(onnx, given.train)
      expect(Math.abs((await measure(int8, given.validation)).loss - (metrics['valLoss'] ?? 0))).toBeLessThan(2e-3)
    },
  )

  it('begins a version trained further from a rounded one with rounding', async () => {
    const { checkpoint } = await fit()
    const { history, onnx } = await fit({ epochs: 3 }, { initializeFrom: checkpoint })
    expect(history).toHaveLength(3)
    expect(takeRounding(readModel(onnx))).toBeDefined()
  })

  it.each([
    [
      'more epochs than the job has',
      { quantizationAware: { epochs: 6 } },
      /quantizationAware\.epochs: 6 of a job of 5/,
    ],
    ['no epochs in float', { quantizationAware: { epochs: 5 } }, /begins with random weights needs epochs in float/],
    ['too few bits', { quantizationAware: { epochs: 1, weightBits: 1 } }, /quantizationAware\.weightBits/],
  ] as const)('refuses %s', async (_name, changes, message) => {
    const refused = fit(changes)
    await expect(refused).rejects.toMatchObject({ code: 'TRAIN_CONFIG_INVALID' })
    await expect(refused).rejects.toThrow(message)
  })
})
