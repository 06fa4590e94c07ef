import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QuantizationReport } from '@tideway/cloud'
import { loadDigitImages } from '@tideway/example-digits'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { zipSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { npyBytes } from '../../plugins/data-files/src/npy.fixture.js'
import { tableModel } from '../support/backbone.js'
import { tideway, tidewayJson } from '../support/command.js'

type Answer = QuantizationReport & { readonly output: string }
interface Refused {
  readonly error: { readonly code: string; readonly message: string; readonly data: Record<string, unknown> }
}

const SIDE = 28
const PIXELS = SIDE * SIDE
const TRAINED = 2_000
const CALIBRATING = 400
const JUDGING = 600
/** Only the loss decides: what a shared machine's clock says does not. */
const ANY_TIME = ['--max-slowdown', '1000']
let folder: string
let model: string
let calibrate: string
let judge: string
let train: string
let digits: { readonly pixels: Uint8Array; readonly labels: Int32Array }

/** Digits from `from` on of an order in which the classes are mixed. */
function some(from: number, rows: number) {
  const pixels = new Uint8Array(rows * PIXELS)
  const labels = new Int32Array(rows)
  const all = digits.labels.length
  for (let at = 0; at < rows; at += 1) {
    // 7,919 is prime: each digit comes once.
    const row = ((from + at) * 7_919) % all
    pixels.set(digits.pixels.subarray(row * PIXELS, (row + 1) * PIXELS), at * PIXELS)
    labels[at] = digits.labels[row]!
  }
  return { pixels, labels }
}

const floats = (pixels: Uint8Array) =>
  ({
    dtype: 'float32',
    shape: [pixels.length / PIXELS, SIDE, SIDE, 1],
    data: Float32Array.from(pixels, (value) => value / 255),
  }) as const

async function npz(name: string, from: number, rows: number, hasLabels = true): Promise<string> {
  const { pixels, labels } = some(from, rows)
  const path = join(folder, name)
  const x = npyBytes('u1', [rows, SIDE, SIDE, 1], [...pixels])
  await writeFile(path, zipSync({ 'x.npy': x, ...(hasLabels && { 'y.npy': npyBytes('i8', [rows], [...labels]) }) }))
  return path
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'tideway-quantize-')))
  const { inputs, targets } = await loadDigitImages()
  digits = { pixels: inputs.data as Uint8Array, labels: targets.data as Int32Array }
  const { pixels, labels } = some(0, TRAINED)
  const { onnx } = await createOnnxTrainer().fit(
    {
      network: {
        input: { name: 'image', shape: [SIDE, SIDE, 1] },
        output: { name: 'probabilities' },
        layers: [
          { type: 'conv2d', filters: 8, kernelSize: 3, activation: 'relu', name: '<b>stem' },
          { type: 'maxPooling2d' },
          { type: 'conv2d', filters: 16, kernelSize: 3, activation: 'relu', name: 'second' },
          { type: 'maxPooling2d' },
          { type: 'flatten' },
          { type: 'dense', units: 10, activation: 'softmax', name: 'head' },
        ],
      },
      loss: 'softmaxCrossEntropy',
      optimizer: { type: 'adam', learningRate: 0.005 },
      batchSize: 32,
      epochs: 3,
      seed: 1,
    },
    { train: { inputs: floats(pixels), targets: { dtype: 'int32', shape: [TRAINED], data: labels } } },
  )
  model = join(folder, 'digits.onnx')
  await writeFile(model, onnx)
  calibrate = await npz('calibrate.npz', TRAINED, CALIBRATING)
  judge = await npz('judge.npz', TRAINED + CALIBRATING, JUDGING)
  train = await npz('train.npz', 0, TRAINED)
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))

/** Accuracy of a file on the rows to judge by, counted here. */
async function accuracyOf(path: string): Promise<number> {
  const { pixels, labels } = some(TRAINED + CALIBRATING, JUDGING)
  const session = await createOnnxNodeRuntime().load(await readFile(path))
  const { probabilities } = await session.run({ image: floats(pixels) })
  await session.dispose()
  const values = probabilities!.data as Float32Array
  let right = 0
  for (const [row, label] of labels.entries()) {
    const own = [...values.subarray(row * 10, (row + 1) * 10)]
    if (own.indexOf(Math.max(...own)) === label) right += 1
  }
  return right / JUDGING
}

/** The command's error, and that it wrote nothing. */
async function refusal(...args: string[]): Promise<Refused['error'] & { readonly output: string }> {
  const before = await readdir(folder)
  const { code, json, output } = await tideway(['quantize', ...args, '--json'])
  expect({ args, code, files: await readdir(folder) }).toEqual({ args, code: 1, files: before })
  return { ...(json as Refused).error, output }
}

describe('tideway quantize', () => {
  it('makes a model of digits three times smaller within the loss, and its report says what an own count says', async () => {
    const [html, json] = [join(folder, 'cost.html'), join(folder, 'cost.json')]
    const answer = await tidewayJson<Answer>([
      'quantize',
      model,
      '--calibrate',
      calibrate,
      '--data',
      judge,
      '--max-loss',
      '0.005',
      ...ANY_TIME,
      '--report',
      html,
      json,
    ])
    expect(answer.output).toBe(join(folder, 'digits.int8.onnx'))
    const [float, small] = [await readFile(model), await readFile(answer.output)]
    expect(float.byteLength / small.byteLength).toBeGreaterThan(2.5)
    expect(answer.files.small).toEqual({
      bytes: small.byteLength,
      sha256: createHash('sha256').update(small).digest('hex'),
    })

    const { judged, tries, classes, confusion } = answer
    expect(judged).toMatchObject({ measure: 'classes', rows: JUDGING, calibrationRows: CALIBRATING, maxLoss: 0.005 })
    expect(judged!.float).toBeCloseTo(await accuracyOf(model), 12)
    expect(judged!.small).toBeCloseTo(await accuracyOf(answer.output), 12)
    expect(judged!.float).toBeGreaterThan(0.85)
    expect(judged!.loss).toBeLessThanOrEqual(0.005)
    expect(judged!.loss).toBeCloseTo((judged!.broken! - judged!.mended!) / JUDGING, 12)
    expect(tries!.at(-1)).toMatchObject({ recipe: answer.recipe, outcome: 'holds' })

    // Rows and right ones add up, over classes and over pairs.
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
    expect(sum(classes!.map(({ rows }) => rows))).toBe(JUDGING)
    expect(sum(classes!.map(({ small: { right } }) => right)) / JUDGING).toBeCloseTo(judged!.small, 12)
    expect(sum(confusion!.map((pair) => pair.float))).toBe(JUDGING)
    expect(
      sum(confusion!.filter((pair) => pair.wanted === pair.called).map((pair) => pair.small)) / JUDGING,
    ).toBeCloseTo(judged!.small, 12)
    expect(answer.layers.filter(({ outputSnrDb }) => (outputSnrDb ?? 0) > 15).length).toBeGreaterThanOrEqual(2)

    const { output: _, reports: __, ...said } = answer as Answer & { reports: unknown }
    expect(JSON.parse(await readFile(json, 'utf8'))).toEqual(said)
    const page = await readFile(html, 'utf8')
    expect(page).toContain('&lt;b&gt;stem')
    expect(page).not.toContain('<b>stem')
    expect(page).not.toMatch(/https?:|<script/)
  })

  it('writes nothing when no recipe holds, and says what it tried and which was best', async () => {
    const nearest = ['--calibrate', calibrate, '--data', judge, '--max-loss', '0', '--max-slowdown', '0.0001']
    const error = await refusal(model, ...nearest, '--report', join(folder, 'none.html'))
    expect(error.code).toBe('QUANTIZE_LOSS_TOO_HIGH')
    const tries = error.data['tries'] as { recipe: string; outcome: string }[]
    expect(tries.length).toBeGreaterThan(4)
    expect(tries.map(({ outcome }) => outcome)).not.toContain('holds')
    expect(error.message).toMatch(/the best is \S+, and it (takes|loses)/)
    // How far it was is on standard error.
    for (const { recipe } of tries.filter(({ outcome }) => outcome !== 'skipped'))
      expect(error.output).toContain(recipe)
  })

  it('judges by the float model’s answers where rows have no labels, half of them held out', async () => {
    const rows = await npz('bare.npz', 3_000, 300, false)
    const output = join(folder, 'bare.onnx')
    const answer = await tidewayJson<Answer>([
      'quantize',
      model,
      '--recipe',
      'fp16',
      '--calibrate',
      rows,
      '--output',
      output,
    ])
    expect(answer.judged).toMatchObject({ measure: 'agreement', rows: 150, calibrationRows: 150, float: 1 })
    expect(answer.judged!.small).toBeGreaterThan(0.98)
    expect(answer).toMatchObject({ precision: 'fp16', recipe: 'fp16' })
    expect(await accuracyOf(output)).toBeGreaterThan(0.85)
  })

  it('judges values by the variance explained', async () => {
    const csv = join(folder, 'values.csv')
    const rows = Array.from({ length: 200 }, (_, i) => [Math.sin(i), Math.cos(3 * i), Math.sin(7 * i)])
    await writeFile(csv, ['a,b,c,p,q,r,s', ...rows.map((row) => [...row, row[0], row[1], 1, 0.5].join())].join('\n'))
    const table = join(folder, 'table.onnx')
    await writeFile(table, tableModel())
    const answer = await tidewayJson<Answer>([
      'quantize',
      table,
      '--recipe',
      'fp16',
      '--calibrate',
      csv,
      '--target',
      'p',
      'q',
      'r',
      's',
      '--output',
      join(folder, 'table.fp16.onnx'),
    ])
    expect(answer.judged).toMatchObject({ measure: 'values', rows: 100 })
    expect(Math.abs(answer.judged!.loss)).toBeLessThan(0.01)
    expect(answer.classes).toBeUndefined()
  })

  it.each(['int8-weights', 'int4-weights', 'fp16-weights'])('needs no rows for weights alone: %s', async (recipe) => {
    const output = join(folder, `${recipe}.onnx`)
    const { code, output: text } = await tideway(['quantize', model, '--recipe', recipe, '--output', output])
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringMatching(/times smaller/) })
    expect(text).toContain('was not measured')
    expect((await accuracyOf(output)) - (await accuracyOf(model))).toBeGreaterThan(-0.03)
  })

  it('removes channels, trains what is left beside the whole model, and quantizes that', async () => {
    const rows = ['--calibrate', calibrate, '--data', judge, '--recipe', 'int8-static']
    const made = async (name: string, ...more: string[]) =>
      tidewayJson<Answer>(['quantize', model, ...rows, ...more, '--output', join(folder, `${name}.onnx`)])
    const [plain, cut, trained] = [
      await made('plain'),
      await made('cut', '--prune', '0.5'),
      await made(
        'trained',
        '--prune',
        '0.5',
        '--importance',
        'taylor',
        '--train',
        train,
        '--epochs',
        '4',
        '--learning-rate',
        '0.005',
      ),
    ]
    for (const { tries, pruned, files, judged } of [cut, trained]) {
      expect(tries!.map(({ recipe, outcome }) => [recipe, outcome])).toEqual([
        ['float-pruned', 'ground'],
        ['int8-static', 'holds'],
      ])
      expect(files.small.bytes).toBeLessThan(plain.files.small.bytes * 0.7)
      expect(pruned!.parameters.to).toBeLessThan(pruned!.parameters.from * 0.6)
      expect(pruned!.layers.reduce((sum, { from, to }) => sum + from - to, 0)).toBe(12)
      // All are judged against the whole model.
      expect(judged!.float).toBe(plain.judged!.float)
    }
    expect(cut.pruned!.layers.map(({ from, to }) => [from, to])).toEqual([
      [8, 4],
      [16, 8],
    ])
    expect(cut.tries![0]!.what).toContain('not trained afterwards')
    // What pruning took, training gives back.
    expect(trained.judged!.small - cut.judged!.small).toBeGreaterThan(0.02)
    expect(trained.judged!.loss).toBeLessThan(0.03)
    expect(await accuracyOf(trained.output)).toBeCloseTo(trained.judged!.small, 12)
  }, 180_000)

  it('weighs channels by the float model’s answers where rows have no labels', async () => {
    const bare = await npz('bare-taylor.npz', 0, 300, false)
    const rows = ['--calibrate', bare, '--recipe', 'int8-static', '--prune', '0.25', '--importance', 'taylor']
    const output = join(folder, 'weighed.onnx')
    const answer = await tidewayJson<Answer>(['quantize', model, ...rows, '--output', output])
    expect(answer.judged).toMatchObject({ measure: 'agreement', rows: 150 })
    expect(answer.pruned!.layers.reduce((sum, { from, to }) => sum + from - to, 0)).toBe(6)
  })

  it('trains with the rounding where it is told to, on the float model’s answers where rows have no labels', async () => {
    const bare = await npz('bare-train.npz', 0, 600, false)
    const rows = ['--calibrate', calibrate, '--data', judge, '--train', bare, '--epochs', '1']
    const output = join(folder, 'aware.onnx')
    const answer = await tidewayJson<Answer>([
      'quantize',
      model,
      ...rows,
      '--recipe',
      'int8-aware',
      '--learning-rate',
      '0.0003',
      '--output',
      output,
    ])
    expect(answer).toMatchObject({ recipe: 'int8-aware', precision: 'int8' })
    expect(answer.judged!.loss).toBeLessThan(0.02)
    expect(await accuracyOf(output)).toBeCloseTo(answer.judged!.small, 12)
  })

  it('says in one line each what cannot be used, and writes nothing', async () => {
    const { pixels, labels } = some(0, 40)
    const spoiled = [...floats(pixels).data]
    spoiled[5 * PIXELS + 3] = Number.NaN
    const y = npyBytes('i8', [40], [...labels])
    const file = async (name: string, bytes: Uint8Array | string): Promise<string> => {
      await writeFile(join(folder, name), bytes)
      return join(folder, name)
    }
    const arrays = (name: string, x: Uint8Array, targets = y) => file(name, zipSync({ 'x.npy': x, 'y.npy': targets }))
    const nan = await arrays('nan.npz', npyBytes('f4', [40, SIDE, SIDE, 1], spoiled))
    const shape = await arrays('shape.npz', npyBytes('u1', [40, 14, 56, 1], [...pixels]))
    const none = await arrays('none.npz', npyBytes('u1', [0, SIDE, SIDE, 1], []), npyBytes('i8', [0], []))
    const far = await arrays(
      'far.npz',
      npyBytes('u1', [40, SIDE, SIDE, 1], [...pixels]),
      npyBytes('i8', [40], Array(40).fill(10)),
    )
    const text = await file('text.onnx', 'This is no model.')
    const small = join(folder, 'small.onnx')
    await tidewayJson(['quantize', model, '--recipe', 'int8-static', '--calibrate', calibrate, '--output', small])

    const refused: [string[], string, RegExp][] = [
      [[model, '--calibrate', nan], 'CALIBRATION_INVALID', /row 5 holds a value that is not finite/],
      [[model, '--calibrate', calibrate, '--data', nan], 'CALIBRATION_INVALID', /row 5 holds/],
      [[model, '--calibrate', shape], 'DATA_INVALID', /rows of \[14, 56, 1\], but the model takes \[28, 28, 1\]/],
      [[model, '--calibrate', none], 'DATA_INVALID', /no rows/],
      [[model, '--calibrate', far], 'DATA_INVALID', /row 1 has a class that is not 0 to 9/],
      [[small, '--calibrate', calibrate], 'MODEL_ALREADY_QUANTIZED', /is quantized already/],
      [[text, '--calibrate', calibrate], 'MODEL_INVALID', /./],
      [[model], 'QUANTIZE_ORDER_INVALID', /--recipe auto needs rows/],
      [[model, '--recipe', 'int8-static'], 'QUANTIZE_ORDER_INVALID', /--recipe int8-static needs rows/],
      [[model, '--prune', '0.5', '--recipe', 'fp16'], 'QUANTIZE_ORDER_INVALID', /--prune needs rows to judge by/],
      [[model, '--recipe', 'int8-aware', '--calibrate', calibrate], 'QUANTIZE_ORDER_INVALID', /name them with --train/],
      [
        [model, '--recipe', 'fp16', '--calibrate', calibrate, '--importance', 'taylor', '--epochs', '3'],
        'QUANTIZE_ORDER_INVALID',
        /--importance is for --prune; --epochs is for --train/,
      ],
      [
        [model, '--recipe', 'fp16', '--calibrate', calibrate, '--train', calibrate],
        'QUANTIZE_ORDER_INVALID',
        /--recipe fp16 trains nothing/,
      ],
      [[model, '--calibrate', calibrate, '--train', nan], 'CALIBRATION_INVALID', /row 5 holds/],
      [[model, '--recipe', 'fp16', '--output', model], 'QUANTIZE_ORDER_INVALID', /it is the float model itself/],
      [[model, '--recipe', 'fp16', '--report', 'cost.pdf'], 'QUANTIZE_ORDER_INVALID', /neither \.html nor \.json/],
      [[model, '--recipe', 'fp16', '--output', join(folder, 'no', 'm.onnx')], 'FILE_NOT_WRITTEN', /ENOENT/],
    ]
    for (const [args, code, message] of refused) {
      const error = await refusal(...args)
      expect({ args, code: error.code, message: error.message }).toEqual({
        args,
        code,
        message: expect.stringMatching(message),
      })
      expect(error.message).not.toContain('\n')
    }
  })
})
