import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Tensors } from '@tideway/core'
import { GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inRuns, localEngine } from './engine.js'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-engine-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function file(rows: number | null, end: (g: GraphBuilder, x: Value) => Value): Promise<string> {
  const g = new GraphBuilder('m')
  g.output('y', end(g, g.input('x', 'float32', [rows, 2])))
  const path = join(dir, `${Math.random()}.onnx`)
  await writeFile(path, writeModel(g.build()))
  return path
}
const x = (...values: number[]): Tensors => ({
  x: { dtype: 'float32', shape: [values.length / 2, 2], data: Float32Array.from(values) },
})
const options = { threads: 1, batchRows: 4 }
const softmax = (g: GraphBuilder, value: Value) => g.op('Softmax', [value], { axis: -1n })

describe('a model on this machine', () => {
  it('answers any number of rows, and is known by its bytes', async () => {
    const path = await file(null, (g, value) => g.op('Neg', [value]))
    const [engine, same] = [await localEngine(path, options), await localEngine(path, options)]
    const { y } = await engine.run(x(...Array.from({ length: 22 }, (_, at) => at)))
    expect(y).toEqual({ dtype: 'float32', shape: [11, 2], data: Float32Array.from({ length: 22 }, (_, at) => -at) })
    expect(engine.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(same.digest).toBe(engine.digest)
    await Promise.all([engine.dispose(), same.dispose()])
  })

  it('is told by its file where it is none', async () => {
    const gone = join(dir, 'gone.onnx')
    const missing = localEngine(gone, options)
    await expect(missing).rejects.toMatchObject({ code: 'FILE_NOT_LOADED', data: { reason: 'there is no such file' } })
    const texts = { 'text.onnx': 'no model', 'empty.onnx': '' }
    for (const [name, text] of Object.entries(texts)) {
      await writeFile(join(dir, name), text)
      const refused = localEngine(join(dir, name), options)
      await expect(refused).rejects.toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining(name) })
    }
  })

  it('that takes so many rows at once gets them, and no more answers than rows come back', async () => {
    const engine = await localEngine(await file(3, (g, value) => g.op('Neg', [value])), options)
    const { y } = await engine.run(x(1, 2, 3, 4, 5, 6, 7, 8))
    expect(y).toEqual({ dtype: 'float32', shape: [4, 2], data: Float32Array.of(-1, -2, -3, -4, -5, -6, -7, -8) })
    await engine.dispose()
  })

  it('whose answers depend on the rows that they are with gets each alone', async () => {
    const mean = (g: GraphBuilder, value: Value) => g.op('Sub', [value, g.op('ReduceMean', [value], { axes: [0n] })])
    const engine = await localEngine(await file(null, mean), options)
    expect((await engine.run(x(1, 2, 30, 40))).y?.data).toEqual(new Float32Array(4))
    await engine.dispose()
  })

  it.each<[string, (g: GraphBuilder, value: Value) => Value, readonly string[] | undefined]>([
    ['ends with Softmax', softmax, []],
    ['hands Softmax on', (g, value) => g.op('Identity', [softmax(g, value)]), []],
    ['goes on after Softmax', (g, value) => g.op('Neg', [softmax(g, value)]), undefined],
    ['has none', (g, value) => g.op('Neg', [value]), undefined],
  ])('tells classes apart where it %s', async (_, end, classes) => {
    const engine = await localEngine(await file(null, end), options)
    expect(engine.classes).toEqual(classes)
    await engine.dispose()
  })
})

it('runs rows in parts whose sizes do not depend on anything but their number', async () => {
  const sizes: number[] = []
  const run = async (inputs: Tensors) => {
    sizes.push(inputs.x?.shape[0] ?? 0)
    return inputs
  }
  const rows = x(...Array.from({ length: 14 }, (_, at) => at))
  expect(await inRuns(rows, 3, false, run)).toEqual(rows)
  expect(await inRuns(rows, 3, true, run)).toEqual(rows)
  expect(sizes).toEqual([3, 3, 1, 3, 3, 3])
})
