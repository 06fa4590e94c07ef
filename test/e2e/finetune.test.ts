import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifest } from '@tideway/core'
import { zipSync } from 'fflate'
import { parquetWriteBuffer } from 'hyparquet-writer'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { npyBytes } from '../../plugins/data-files/src/npy.fixture.js'
import { apart, backbone, bitsOf, COLUMNS, patterns, SHAPES, SIDE, seeded, tableModel } from '../support/backbone.js'
import { tideway, tidewayJson } from '../support/command.js'
import { type Loop, START_MS, startLoop } from '../support/loop.js'
import type { TrainedVersion } from '../support/traffic.js'

type FineTuned = TrainedVersion & {
  readonly evaluation: Readonly<Record<string, { accuracy?: number; meanSquaredError?: number }>>
  readonly notes: readonly string[]
}

const ROWS = 240
let loop: Loop
let folder: string
let model: string

beforeAll(async () => {
  loop = await startLoop({ roles: ['api', 'trainer'] })
  folder = await loop.folder()
  model = join(folder, 'model.onnx')
  await writeFile(model, backbone())
}, START_MS)
afterAll(() => loop?.close())

/** The arrays as `numpy.savez` keeps them: bytes [rows, height, width, channels], whole numbers. */
async function npz(): Promise<string> {
  const { pixels, labels } = patterns(ROWS)
  const path = join(folder, 'patterns.npz')
  const x = npyBytes('u1', [ROWS, SIDE, SIDE, 1], [...pixels])
  const y = npyBytes('i8', [ROWS], [...labels])
  await writeFile(path, zipSync({ 'x.npy': x, 'y.npy': y }))
  return path
}

/** A folder of PNGs for each class. */
async function photos(): Promise<string> {
  const { pixels, labels } = patterns(ROWS)
  const dir = join(folder, 'photos')
  for (const shape of SHAPES) await mkdir(join(dir, shape), { recursive: true })
  for (const [row, label] of labels.entries()) {
    const raw = { width: SIDE, height: SIDE, channels: 1 } as const
    const image = sharp(pixels.subarray(row * SIDE ** 2, (row + 1) * SIDE ** 2), { raw }).png()
    await image.toFile(join(dir, SHAPES[label]!, `${row}.png`))
  }
  return dir
}

const PUMPS = 400
const STATES = ['starved', 'steady', 'worn'] as const

/** Readings of pumps, numbers from -1 to 1 with what they say of each: a state, and two values. */
function pumps() {
  const random = seeded(23)
  return Array.from({ length: PUMPS }, () => {
    const [flow, current, vibration] = COLUMNS.map(() => random() * 2 - 1) as [number, number, number]
    const state: (typeof STATES)[number] = vibration > 0.3 ? 'worn' : flow < current - 0.2 ? 'starved' : 'steady'
    return { flow, current, vibration, state, pressure: 3 * flow - current + 2, wear: Math.max(0, vibration) }
  })
}

/** The readings with these columns behind, in a table of the given kind. */
async function table(kind: 'csv' | 'parquet', ...targets: readonly ('state' | 'pressure' | 'wear')[]): Promise<string> {
  const rows = pumps()
  const names = [...COLUMNS, ...targets]
  const path = join(folder, `${targets.join('-')}.${kind}`)
  const lines = [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => `${line.join()}\n`)
  const columnData = names.map((name) => ({
    name,
    data: rows.map((row) => row[name]),
    type: name === 'state' ? ('STRING' as const) : ('DOUBLE' as const),
  }))
  await writeFile(path, kind === 'csv' ? lines.join('') : new Uint8Array(parquetWriteBuffer({ columnData })))
  return path
}

/** The mean squared error of one who always says the mean of the rows' pressure. */
function varianceOfPressure(): number {
  const values = pumps().map(({ pressure }) => pressure)
  const mean = values.reduce((a, b) => a + b, 0) / PUMPS
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / PUMPS
}

const words = (text: string): string[] => text.split(' ')
const order = (file: string, data: string, ...more: string[]) => [
  'finetune',
  file,
  '--data',
  data,
  '--cloud',
  loop.cloud.url,
  ...more,
]
const command = (data: string, ...more: string[]) => order(model, data, ...more)

/** The fp32 file of a version, and what its manifest says. */
async function shipped({ version }: FineTuned) {
  const { variants, classes, lineage, signature, profile } = readManifest(
    await loop.client.getChunk(version.manifestDigest),
  )
  const file = variants.find(({ precision }) => precision === 'fp32')!.files[0]!
  const pieces = await Promise.all(file.chunks.map(({ sha256 }) => loop.client.getChunk(sha256)))
  return { onnx: Buffer.concat(pieces), classes, base: lineage['base'], signature, profile }
}

describe('tideway finetune', () => {
  it('gives a model of other classes, learned from arrays, with its frozen weights as they were', async () => {
    const made = await tidewayJson<FineTuned>(
      command(
        await npz(),
        '--head',
        'classes=3',
        '--freeze',
        'backbone.*',
        '--name',
        'stripes',
        '--learning-rate',
        '0.02',
      ),
    )
    expect(made).toMatchObject({ model: 'stripes', created: true, version: { version: 1 } })
    expect(made.evaluation['fp32']?.accuracy).toBeGreaterThan(0.95)
    expect(made.evaluation['int8']?.accuracy).toBeGreaterThan(0.95)
    expect(made.notes.join('\n')).toMatch(/2 tensors .* are frozen/)
    const { onnx, base } = await shipped(made)
    for (const name of ['backbone.conv.weight', 'backbone.conv.bias'])
      expect(bitsOf(onnx, name)).toEqual(bitsOf(backbone(), name))
    expect(bitsOf(onnx, 'fc.weight')).toBeUndefined()
    // The file itself is kept, and the version says which it was.
    expect(Buffer.compare(await loop.client.getBlob(String(base)), backbone())).toBe(0)
  })

  it('learns from a folder of images, resized to what the model takes, and knows the classes by name', async () => {
    const made = await tidewayJson<FineTuned>(
      command(await photos(), '--head', 'classes=3', '--freeze', '*conv*', '--epochs', '8', '--learning-rate', '0.02'),
    )
    expect(made.model).toBe('model')
    expect(made.evaluation['fp32']?.accuracy).toBeGreaterThan(0.95)
    expect((await shipped(made)).classes).toEqual(['columns', 'dots', 'rows'])
  })

  it('does the same from a pipeline file that names the model beside it', async () => {
    const file = join(folder, 'pipeline.mjs')
    const data = `() => {
      const rows = ${ROWS}, targets = Int32Array.from({ length: rows }, (_, row) => row % 2)
      const data = Float32Array.from({ length: rows * ${SIDE ** 2} }, (_, at) => targets[Math.floor(at / ${SIDE ** 2})])
      return { inputs: { dtype: 'float32', shape: [rows, 1, ${SIDE}, ${SIDE}], data }, targets: { dtype: 'int32', shape: [rows], data: targets } }
    }`
    const base = `{ model: 'model.onnx', freeze: ['backbone.*'], head: { classes: 2 } }`
    await writeFile(
      file,
      `export default { model: 'lit', data: ${data}, base: ${base}, optimizer: { type: 'adam', learningRate: 0.02 } }\n`,
    )
    const made = await tidewayJson<FineTuned>(['train', file, '--cloud', loop.cloud.url])
    expect(made.evaluation['fp32']?.accuracy).toBe(1)
    expect(bitsOf((await shipped(made)).onnx, 'backbone.conv.weight')).toEqual(
      bitsOf(backbone(), 'backbone.conv.weight'),
    )
  })

  it.each(['csv', 'parquet'] as const)('learns classes of a table: %s', async (kind) => {
    const file = join(folder, 'pumps.onnx')
    await writeFile(file, tableModel())
    const curves = join(folder, `${kind}.svg`)
    const made = await tidewayJson<FineTuned>(
      order(
        file,
        await table(kind, 'state'),
        ...words('--target state --head classes=3 --freeze body.* --learning-rate 0.03'),
        ...words(`--epochs 25 --batch-size 16 --name pumps-${kind} --curves`),
        curves,
      ),
    )
    // A third, and more by chance, is what a guess would get.
    expect(made.evaluation['fp32']?.accuracy).toBeGreaterThan(0.85)
    expect(made.evaluation['int8']?.accuracy).toBeGreaterThan(0.85)
    const { onnx, classes, profile } = await shipped(made)
    expect(classes).toEqual(STATES)
    expect(JSON.stringify(profile)).toContain('vibration')
    for (const name of ['body.weight', 'body.bias']) expect(bitsOf(onnx, name)).toEqual(bitsOf(tableModel(), name))
    expect(await readFile(curves, 'utf8')).toContain('<title>Learning curves of 25 epochs</title>')
  })

  it.each([
    ['csv', ['pressure']],
    ['parquet', ['pressure', 'wear']],
  ] as const)('learns values of a table, its head as many numbers as there are targets: %s', async (kind, targets) => {
    const file = join(folder, 'values.onnx')
    await writeFile(file, tableModel())
    const made = await tidewayJson<FineTuned>(
      order(
        file,
        await table(kind, ...targets),
        ...words(`--target ${targets.join(' ')} --head outputs=${targets.length} --learning-rate 0.02`),
        ...words(`--epochs 30 --batch-size 16 --name values-${kind}`),
      ),
    )
    for (const precision of ['fp32', 'int8']) {
      expect(made.evaluation[precision]?.accuracy).toBeUndefined()
      expect(made.evaluation[precision]?.meanSquaredError).toBeLessThan(varianceOfPressure() / 20)
    }
    const { onnx, classes, signature } = await shipped(made)
    expect(classes).toBeUndefined()
    expect(signature.outputs[0]?.shape).toEqual([null, targets.length])
    expect(bitsOf(onnx, 'body.weight')).not.toEqual(bitsOf(tableModel(), 'body.weight'))
  })

  it('takes a model whose weights lie in a file beside it, wherever the command is started', async () => {
    const place = join(folder, 'apart')
    await mkdir(place)
    const { onnx, data } = apart(tableModel(), 'pumps.onnx.data')
    await writeFile(join(place, 'pumps.onnx'), onnx)
    await writeFile(join(place, 'pumps.onnx.data'), data)
    const args = order(
      join('apart', 'pumps.onnx'),
      await table('csv', 'state'),
      ...words('--target state --head classes=3 --freeze body.* --learning-rate 0.03 --epochs 2 --name apart'),
    )
    const made = await tidewayJson<FineTuned>(args, { cwd: folder })
    const { onnx: file, base } = await shipped(made)
    for (const name of ['body.weight', 'body.bias']) {
      expect(bitsOf(file, name)).toEqual(bitsOf(tableModel(), name))
      // What is kept is one whole file.
      expect(bitsOf(await loop.client.getBlob(String(base)), name)).toEqual(bitsOf(tableModel(), name))
    }

    await rm(join(place, 'pumps.onnx.data'))
    const { json } = await tideway([...args, '--json'], { cwd: folder })
    expect(json).toMatchObject({ error: { code: 'EXTERNAL_DATA_INVALID' } })
    expect((json as { error: { message: string } }).error.message).toMatch(/pumps\.onnx\.data/)
  })

  it('names what does not fit, before anything is sent', async () => {
    const data = await npz()
    const table3 = join(folder, 'three.onnx')
    await writeFile(table3, tableModel())
    const values = await table('parquet', 'pressure', 'wear')
    const csv = join(folder, 'table.csv')
    await writeFile(csv, 'a,b\n1,2\n')
    const refused: [string[], string, RegExp][] = [
      [command(data, '--head', 'classes=2'), 'DATA_INVALID', /row \d+ has a class that is not 0 to 1/],
      [
        command(data, '--head', 'classes=3', '--freeze', 'backbon.*'),
        'TRAIN_CONFIG_INVALID',
        /"backbon\.\*" matches no/,
      ],
      [command(data, '--target', 'y', '--image', '8x8x1'), 'DATA_INVALID', /--image is for .*; --target is for/],
      [
        order(table3, values, ...words('--target pressure wear --head outputs=3')),
        'DATA_INVALID',
        /2 values to predict, but the model gives \[3\]/,
      ],
      [
        order(table3, values, ...words('--target wear --head outputs=1')),
        'DATA_INVALID',
        /rows of \[4\], but the model takes \[3\]/,
      ],
      [order(table3, values, '--head', 'outputs=1'), 'DATA_INVALID', /name the column to predict with --target/],
      [command(csv, '--target', 'c'), 'DATA_INVALID', /--target c: there is no such column, but a, b/],
      [command(join(folder, 'nothing'), '--head', 'classes=2'), 'DATA_INVALID', /there is no such file/],
    ]
    const before = (await loop.client.jobs()).length
    for (const [args, code, message] of refused) {
      const { json } = await tideway([...args, '--json'])
      expect(json).toMatchObject({ error: { code } })
      expect((json as { error: { message: string } }).error.message).toMatch(message)
    }
    expect(await loop.client.jobs()).toHaveLength(before)
  })
})
