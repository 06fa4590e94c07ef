import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifest } from '@tideway/core'
import { zipSync } from 'fflate'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { npyBytes } from '../../plugins/data-files/src/npy.fixture.js'
import { backbone, bitsOf, patterns, SHAPES, SIDE } from '../support/backbone.js'
import { tideway, tidewayJson } from '../support/command.js'
import { type Loop, START_MS, startLoop } from '../support/loop.js'
import type { TrainedVersion } from '../support/traffic.js'

type FineTuned = TrainedVersion & {
  readonly evaluation: Readonly<Record<string, { accuracy?: number }>>
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

const command = (data: string, ...more: string[]) => [
  'finetune',
  model,
  '--data',
  data,
  '--cloud',
  loop.cloud.url,
  ...more,
]

/** The fp32 file of a version. */
async function shipped({
  version,
}: FineTuned): Promise<{ onnx: Uint8Array; classes?: readonly string[]; base: unknown }> {
  const { variants, classes, lineage } = readManifest(await loop.client.getChunk(version.manifestDigest))
  const file = variants.find(({ precision }) => precision === 'fp32')!.files[0]!
  const pieces = await Promise.all(file.chunks.map(({ sha256 }) => loop.client.getChunk(sha256)))
  return { onnx: Buffer.concat(pieces), ...(classes && { classes }), base: lineage['base'] }
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

  it('names what does not fit, before anything is sent', async () => {
    const data = await npz()
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
