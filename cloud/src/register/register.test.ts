import { decodeTensors, type Tensor, type Tensors } from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { describe, expect, it } from 'vitest'
import { wasmEngine } from '../pipeline/engines.js'
import { classifierFile, Kept, lookUpFile, pairFile, runtime, written } from './register.fixture.js'
import { type RegisterOrder, registerFiles } from './register.js'

const wave = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(3 + i * i * 0.7))
const ROWS = 100
const columns: Tensor = { dtype: 'float32', shape: [ROWS, 4], data: wave(4 * ROWS) }
/** The class of each row as the classifier sees it, from its weights. */
const classes = Array.from({ length: ROWS }, (_, row) => {
  const [a = 0, b = 0, c = 0, d = 0] = (columns.data as Float32Array).subarray(4 * row, 4 * row + 4)
  const sums = [4 * a + 4 * b, b + 4 * c, c + 4 * d]
  return sums.indexOf(Math.max(...sums))
})
const table = [
  'a,b,c,d,kind',
  ...classes.map((kind, row) =>
    [...(columns.data as Float32Array).subarray(4 * row, 4 * row + 4), ['ant', 'bee', 'cat'][kind]].join(','),
  ),
].join('\n')

const order = (files: readonly string[], more: Partial<RegisterOrder> = {}): RegisterOrder => ({
  model: 'mine',
  files,
  aliases: ['latest'],
  ...more,
})

async function folderWith(contents: Readonly<Record<string, Uint8Array | string>>, onFinished: OnFinished) {
  return written(await temporaryFolder(onFinished), contents)
}

describe('registering files', () => {
  it('gives each form known answers that are its own, and scores and a baseline from rows', async ({
    onTestFinished,
  }) => {
    const float = classifierFile()
    const recipe = { scheme: 'int8-dynamic', minElements: 1 } as const
    const { onnx } = await createQuantizer().quantize(float, { x: columns }, runtime, recipe)
    const [one, small, path] = await folderWith(
      { 'm.onnx': float, 'm.int8.onnx': onnx, 'rows.csv': table },
      onTestFinished,
    )
    const artifacts = new Kept()
    const data = { path: path!, target: ['kind'] }
    const registered = await registerFiles(order([one!, small!], { data }), {
      runtime,
      artifacts,
      others: [(await wasmEngine())!],
    })
    const { manifest, aliases } = artifacts.registered[0]!
    expect(aliases).toEqual(['latest'])
    expect(manifest).toMatchObject({ model: 'mine', classes: ['ant', 'bee', 'cat'] })
    const bySize = [float, onnx].toSorted((a, b) => a.byteLength - b.byteLength)
    expect(manifest.variants.map(({ files }) => artifacts.blobs.get(files[0]!.sha256))).toEqual(bySize)
    for (const { knownAnswers, files } of manifest.variants) {
      const { inputs, outputs } = decodeTensors(artifacts.blobs.get(knownAnswers.sha256)!) as {
        inputs: Tensors
        outputs: Tensors
      }
      expect(inputs.x).toEqual({ ...columns, shape: [8, 4], data: (columns.data as Float32Array).slice(0, 32) })
      const session = await runtime.load(artifacts.blobs.get(files[0]!.sha256)!)
      expect(outputs).toEqual(await session.run(inputs))
      await session.dispose()
      expect(knownAnswers.toleranceCause?.engines).toMatchObject({ 'onnx-node': 0, 'onnx-wasm': expect.any(Number) })
      expect(knownAnswers.top1Margin).toBe(2 * knownAnswers.tolerance)
    }
    expect(registered.metrics['accuracy.fp32']).toBe(1)
    expect(registered.metrics['accuracy.int8']).toBeGreaterThan(0.9)
    expect(manifest.metrics).toEqual(registered.metrics)
    const names = manifest.profile!.statistics.map(({ name }) => name)
    expect(names).toEqual(['feature.a', 'feature.b', 'feature.c', 'feature.d', 'confidence', 'class'])
    const baseline = JSON.parse(Buffer.from(artifacts.blobs.get(manifest.baseline!.sha256)!).toString()) as {
      rows: number
    }
    expect(baseline.rows).toBe(ROWS)
  })

  it('makes up rows where none are given, says so, and gives the same version for the same file', async ({
    onTestFinished,
  }) => {
    const [file] = await folderWith({ 'pair.onnx': pairFile() }, onTestFinished)
    const artifacts = new Kept()
    const tools = { runtime, artifacts, others: [] }
    const first = await registerFiles(order([file!]), tools)
    expect(first.notes).toEqual([expect.stringContaining('made-up rows')])
    const { manifest } = artifacts.registered[0]!
    expect([manifest.profile, manifest.baseline, manifest.metrics]).toEqual([undefined, undefined, {}])
    const { inputs, outputs } = decodeTensors(artifacts.blobs.get(manifest.variants[0]!.knownAnswers.sha256)!) as {
      inputs: Tensors
      outputs: Tensors
    }
    const [a, b] = [inputs.a!.data as Float32Array, inputs.b!.data as Float32Array]
    expect(new Set(a).size).toBe(16)
    expect(outputs.sum!.data).toEqual(a.map((value, at) => Math.fround(value + b[at]!)))
    expect(outputs.product!.data).toEqual(a.map((value, at) => Math.fround(value * b[at]!)))
    expect((await registerFiles(order([file!]), tools)).version.manifestDigest).toBe(first.version.manifestDigest)
  })

  it.for([1, 3])('takes rows for a model that takes %i at once', async (rows, { onTestFinished }) => {
    const [file, path] = await folderWith({ 'm.onnx': classifierFile(rows), 'rows.csv': table }, onTestFinished)
    const artifacts = new Kept()
    const { metrics } = await registerFiles(order([file!], { data: { path: path!, target: ['kind'] } }), {
      runtime,
      artifacts,
      others: [],
    })
    expect(metrics).toEqual({ 'accuracy.fp32': 1 })
    const { manifest } = artifacts.registered[0]!
    expect(manifest.variants[0]!.knownAnswers.rows).toBe(rows)
    const baseline = JSON.parse(Buffer.from(artifacts.blobs.get(manifest.baseline!.sha256)!).toString()) as {
      rows: number
    }
    expect(baseline.rows).toBe(ROWS)
  })

  it('refuses what does not go together, naming all of it, with nothing registered', async ({ onTestFinished }) => {
    const files = await folderWith(
      { 'm.onnx': classifierFile(), 'same.onnx': classifierFile(), 'z.onnx': classifierFile(null, 'z') },
      onTestFinished,
    )
    const artifacts = new Kept()
    await expect(registerFiles(order(files), { runtime, artifacts, others: [] })).rejects.toMatchObject({
      code: 'REGISTER_ORDER_INVALID',
      data: {
        issues: [
          expect.stringMatching(/same\.onnx: it is of fp32, as .*m\.onnx is/),
          expect.stringMatching(/z\.onnx: it is of fp32/),
          expect.stringMatching(
            /z\.onnx: it takes and gives \(z float32\[\?,4\]\) → .*, but m\.onnx \(x float32\[\?,4\]\)/,
          ),
        ],
      },
    })
    const named = order(files.slice(0, 1), { classes: ['a', 'b'] })
    await expect(registerFiles(named, { runtime, artifacts, others: [] })).rejects.toMatchObject({
      code: 'REGISTER_ORDER_INVALID',
      data: { issues: ['--classes: 2 names, but the model gives 3 numbers a row'] },
    })
    expect([artifacts.registered, artifacts.blobs.size]).toEqual([[], 0])
  })

  it('asks for rows where a model does not take those that are made up', async ({ onTestFinished }) => {
    const [file] = await folderWith({ 'm.onnx': lookUpFile() }, onTestFinished)
    await expect(registerFiles(order([file!]), { runtime, artifacts: new Kept(), others: [] })).rejects.toMatchObject({
      code: 'ROWS_NEEDED',
      message: expect.stringMatching(/out of.*bound.*--data/s),
    })
  })

  it('names the file that is no model', async ({ onTestFinished }) => {
    const files = await folderWith({ 'm.onnx': classifierFile(), 'n.onnx': 'no model' }, onTestFinished)
    await expect(registerFiles(order(files), { runtime, artifacts: new Kept(), others: [] })).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('n.onnx'),
    })
  })
})
