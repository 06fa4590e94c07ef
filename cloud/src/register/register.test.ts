import { decodeTensors, type Tensor, type Tensors } from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { type OnFinished, temporaryFolder } from '@tideway/test/support/folder'
import { describe, expect, it } from 'vitest'
import { wasmEngine } from '../pipeline/engines.js'
import {
  classifierFile,
  flatFile,
  hitsFile,
  Kept,
  labelsFile,
  largeFile,
  logarithmFile,
  lookUpFile,
  pairFile,
  runtime,
  scalarFile,
  written,
} from './register.fixture.js'
import { type RegisterOrder, registerFiles } from './register.js'

const wave = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(3 + i * i * 0.7))
const ROWS = 100
const columns: Tensor = { dtype: 'float32', shape: [ROWS, 4], data: wave(4 * ROWS) }
const rowOf = (row: number) => (columns.data as Float32Array).subarray(4 * row, 4 * row + 4)
/** The class of each row as the classifier sees it, from its weights. */
const classes = Array.from({ length: ROWS }, (_, row) => {
  const [a = 0, b = 0, c = 0, d = 0] = rowOf(row)
  const sums = [4 * a + 4 * b, b + 4 * c, c + 4 * d]
  return sums.indexOf(Math.max(...sums))
})
const NAMES = ['ant', 'bee', 'cat']
/** Of the rows of these classes, as they are called. */
const tableOf = (names: readonly string[], kept = [0, 1, 2]) => {
  const rows = classes.flatMap((kind, row) => (kept.includes(kind) ? [[...rowOf(row), names[kind]].join(',')] : []))
  return ['a,b,c,d,kind', ...rows].join('\n')
}
const table = tableOf(NAMES)

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
      // From all over them.
      const rows = [0, 12, 25, 37, 50, 62, 75, 87].flatMap((row) => [...rowOf(row)])
      expect(inputs.x).toEqual({ ...columns, shape: [8, 4], data: Float32Array.from(rows) })
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

  it('takes labels for the classes that --classes names, in its order and where some are missing', async ({
    onTestFinished,
  }) => {
    const [file, shuffled, some] = await folderWith(
      { 'm.onnx': classifierFile(), 'rows.csv': tableOf(['zebra', 'bee', 'ant']), 'some.csv': tableOf(NAMES, [0, 2]) },
      onTestFinished,
    )
    const scored = async (path: string, names?: readonly string[]) => {
      const artifacts = new Kept()
      const wanted = order([file!], { data: { path, target: ['kind'] }, classes: names })
      const { metrics } = await registerFiles(wanted, { runtime, artifacts, others: [] })
      return [metrics['accuracy.fp32'], artifacts.registered[0]!.manifest.classes]
    }
    expect(await scored(shuffled!, ['zebra', 'bee', 'ant'])).toEqual([1, ['zebra', 'bee', 'ant']])
    expect(await scored(some!, NAMES)).toEqual([1, NAMES])
    await expect(scored(some!)).rejects.toMatchObject({
      code: 'REGISTER_ORDER_INVALID',
      data: { issues: [expect.stringMatching(/--data: 2 classes \(ant, cat\), but the model gives 3 .*--classes/)] },
    })
    const { notes } = await registerFiles(
      order([file!], { data: { path: shuffled!, target: ['kind'] }, classes: ['bee', 'ant', 'zebra'] }),
      { runtime, artifacts: new Kept(), others: [] },
    )
    expect(notes).toContainEqual(expect.stringMatching(/hardly more than chance is right/))
    await expect(scored(shuffled!, NAMES)).rejects.toMatchObject({
      data: { issues: ['--classes: the data has others, zebra'] },
    })
  })

  it.for([
    ['whole numbers', false],
    ['texts', true],
  ] as const)('takes a model that gives labels as %s beside probabilities', async ([, isText], { onTestFinished }) => {
    const [file, path] = await folderWith({ 'm.onnx': labelsFile(isText), 'rows.csv': table }, onTestFinished)
    const artifacts = new Kept()
    const data = { path: path!, target: ['kind'] }
    const { metrics } = await registerFiles(order([file!], { data }), { runtime, artifacts, others: [] })
    expect(metrics).toEqual({ 'accuracy.fp32': 1 })
    const { classes: names, variants } = artifacts.registered[0]!.manifest
    expect(names).toEqual(NAMES)
    expect(variants[0]!.knownAnswers).toMatchObject({ tolerances: { probabilities: 1e-3 }, top1Margin: 2e-3 })
  })

  it('refuses labels that are not classes of the model, and names that the model itself contradicts', async ({
    onTestFinished,
  }) => {
    const [file, texts, path, floats] = await folderWith(
      {
        'm.onnx': classifierFile(),
        'texts.onnx': labelsFile(true),
        'one.csv': tableOf(['1', '2', '3']),
        'floats.csv': tableOf(['0.0', '1.0', '2.0']),
      },
      onTestFinished,
    )
    const registering = (more: Partial<RegisterOrder>, model = file!) =>
      registerFiles(order([model], more), { runtime, artifacts: new Kept(), others: [] })
    await expect(registering({ data: { path: path!, target: ['kind'] } })).rejects.toThrow(
      /row \d+ has .*class.* 0 to 2/,
    )
    expect((await registering({ data: { path: floats!, target: ['kind'] } })).metrics).toEqual({ 'accuracy.fp32': 1 })
    await expect(registering({ classes: ['cat', 'bee', 'ant'] }, texts!)).rejects.toMatchObject({
      code: 'REGISTER_ORDER_INVALID',
      data: { issues: [expect.stringMatching(/the model itself calls class (0 "ant"|2 "cat"), and not/)] },
    })
  })

  it('leaves out a score that is none, and says so', async ({ onTestFinished }) => {
    const [float, small, path] = await folderWith(
      { 'm.onnx': flatFile(false), 'm.int8.onnx': flatFile(true), 'rows.csv': 'a,b\n1,2\n3,4\n5,6' },
      onTestFinished,
    )
    const artifacts = new Kept()
    const tools = { runtime, artifacts, others: [] }
    const { metrics, notes } = await registerFiles(order([float!, small!], { data: { path: path! } }), tools)
    expect(metrics).toEqual({})
    expect(notes).toContainEqual(expect.stringMatching(/likeness\.int8 is left out: it is -Infinity/))
  })

  it('takes inputs that are no rows, and answers that are none', async ({ onTestFinished }) => {
    const [scalar, hits, path] = await folderWith(
      { 'scalar.onnx': scalarFile(), 'hits.onnx': hitsFile(), 'rows.csv': 'a,b\n1,0\n0,2\n3,0' },
      onTestFinished,
    )
    const artifacts = new Kept()
    const tools = { runtime, artifacts, others: [] }
    await registerFiles(order([scalar!]), tools)
    expect(artifacts.registered[0]!.manifest.variants[0]!.knownAnswers.rows).toBe(1)
    const { metrics, notes } = await registerFiles(order([hits!], { data: { path: path! } }), tools)
    expect([metrics, artifacts.registered[1]!.manifest.baseline]).toEqual([{}, undefined])
    expect(notes).toContainEqual(expect.stringContaining('not every output has one answer to each row'))
  })

  it('sends nothing of files that a version has no room for', async ({ onTestFinished }) => {
    const [file] = await folderWith({ 'm.onnx': largeFile(100) }, onTestFinished)
    const artifacts = new Kept()
    await expect(registerFiles(order([file!]), { runtime, artifacts, others: [] })).rejects.toMatchObject({
      code: 'REGISTER_ORDER_INVALID',
      data: { issues: [expect.stringMatching(/^105 MB of files: .*90 MB.*tideway serve/)] },
    })
    expect(artifacts.blobs.size).toBe(0)
  })

  it('sends nothing where answers are not finite', async ({ onTestFinished }) => {
    const [file] = await folderWith({ 'm.onnx': logarithmFile() }, onTestFinished)
    const artifacts = new Kept()
    await expect(registerFiles(order([file!]), { runtime, artifacts, others: [] })).rejects.toMatchObject({
      code: 'ROWS_NEEDED',
      message: expect.stringContaining('output "y" has numbers that are not finite'),
    })
    expect(artifacts.blobs.size).toBe(0)
  })
})
