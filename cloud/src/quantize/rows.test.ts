import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Signature } from '@tideway/core'
import { temporaryFolder } from '@tideway/test/support/folder'
import { zipSync } from 'fflate'
import { afterEach, describe, expect, it } from 'vitest'
import { npyBytes } from '../../../plugins/data-files/src/npy.fixture.js'
import { partsOf, type Rows, readRows } from './rows.js'

const cleans: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleans.splice(0)) await clean()
})

async function file(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder((clean) => void cleans.push(clean)), name)
  await writeFile(path, bytes)
  return path
}

const model = (row: number, units: number): Signature => ({
  inputs: [{ name: 'x', dtype: 'float32', shape: [null, row] }],
  outputs: [{ name: 'y', dtype: 'float32', shape: [null, units] }],
})

describe('rows of a table', () => {
  const TABLE = 'a,b,y\n1,2,0\n3,4,2\n'

  it('have no labels without a target: every column is a feature', async () => {
    const rows = await readRows({ path: await file('t.csv', TABLE), signature: model(3, 2), labels: true })
    expect(rows.inputs).toEqual({ x: { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 0, 3, 4, 2) } })
    expect(rows.targets).toBeUndefined()
  })

  it('have classes where the model gives several numbers, values where it gives one, and neither by request', async () => {
    const path = await file('t.csv', TABLE)
    const order = { path, target: ['y'], labels: true }
    const classes = await readRows({ ...order, signature: model(2, 3) })
    expect(classes.targets).toEqual({ dtype: 'int32', shape: [2], data: Int32Array.of(0, 2) })
    const values = await readRows({ ...order, signature: model(2, 1) })
    expect(values.targets).toEqual({ dtype: 'float32', shape: [2, 1], data: Float32Array.of(0, 2) })
    expect((await readRows({ ...order, labels: false, signature: model(2, 3) })).targets).toBeUndefined()
  })

  it('are refused with a class that the model has not, or another width', async () => {
    const path = await file('t.csv', TABLE)
    const order = { path, target: ['y'], labels: true }
    await expect(readRows({ ...order, signature: model(2, 2) })).rejects.toThrow(/row 2 has a class that is not 0 to 1/)
    await expect(readRows({ ...order, signature: model(5, 3) })).rejects.toThrow(/rows of \[2\], but .* takes \[5\]/)
  })
})

describe('rows of arrays', () => {
  const pair: Signature = {
    inputs: [
      { name: 'ids', dtype: 'int64', shape: [null, 2] },
      { name: 'mask', dtype: 'float32', shape: [null, 2] },
    ],
    outputs: [{ name: 'y', dtype: 'float32', shape: [null, 3] }],
  }
  const zip = (arrays: Record<string, Uint8Array>) => file('rows.npz', zipSync(arrays))

  it('go to the inputs that have their names, of the types that the model takes', async () => {
    const path = await zip({
      'ids.npy': npyBytes('i4', [2, 2], [1, 2, 3, 4]),
      'mask.npy': npyBytes('f8', [2, 2], [1, 0, 1, 1]),
      'y.npy': npyBytes('i8', [2], [0, 2]),
    })
    const rows = await readRows({ path, signature: pair, labels: true })
    expect(rows.inputs['ids']).toEqual({ dtype: 'int64', shape: [2, 2], data: BigInt64Array.of(1n, 2n, 3n, 4n) })
    expect(rows.inputs['mask']).toMatchObject({ dtype: 'float32', data: Float32Array.of(1, 0, 1, 1) })
    expect(rows.targets).toEqual({ dtype: 'int32', shape: [2], data: Int32Array.of(0, 2) })
  })

  it('are refused where the model or a class takes 32 bits, and a number needs more', async () => {
    const wide = npyBytes('i8', [2, 2], [1, 2, 3, 2 ** 32 + 5])
    const narrow: Signature = { ...pair, inputs: [{ name: 'ids', dtype: 'int32', shape: [null, 2] }] }
    await expect(readRows({ path: await zip({ 'ids.npy': wide }), signature: narrow, labels: true })).rejects.toThrow(
      /array ids is int64, but the model takes int32, which does not hold it/,
    )
    const arrays = { 'x.npy': npyBytes('f4', [2, 2], [1, 2, 3, 4]), 'y.npy': npyBytes('i8', [2], [0, 2 ** 32]) }
    await expect(readRows({ path: await zip(arrays), signature: model(2, 3), labels: true })).rejects.toThrow(
      /array y has classes that 32 bits do not hold/,
    )
  })

  it('need no labels, and bytes become 0 to 1', async () => {
    const path = await zip({ 'x.npy': npyBytes('u1', [2, 2], [0, 255, 51, 0]) })
    const rows = await readRows({ path, signature: model(2, 3), labels: true })
    expect(rows.targets).toBeUndefined()
    expect(rows.inputs['x']?.data).toEqual(Float32Array.of(0, 1, 51 / 255, 0))
  })

  it('are refused where an input has none, a type that does not fit, or another number of rows', async () => {
    const ids = npyBytes('f4', [2, 2], [1, 2, 3, 4])
    const mask = npyBytes('f4', [3, 2], [1, 0, 1, 1, 1, 1])
    const missing = await zip({ 'ids.npy': ids })
    await expect(readRows({ path: missing, signature: pair, labels: true })).rejects.toThrow(
      /ids \(int64\), mask \(float32\), which needs an \.npz/,
    )
    const wrong = await zip({ 'ids.npy': ids, 'mask.npy': mask })
    await expect(readRows({ path: wrong, signature: pair, labels: true })).rejects.toThrow(
      /array ids is float32, but the model takes int64/,
    )
    const uneven = await zip({ 'ids.npy': npyBytes('i4', [2, 2], [1, 2, 3, 4]), 'mask.npy': mask })
    await expect(readRows({ path: uneven, signature: pair, labels: true })).rejects.toThrow(/different numbers of rows/)
  })
})

const numbered = (rows: number): Rows => ({
  inputs: { x: { dtype: 'float32', shape: [rows, 1], data: Float32Array.from({ length: rows }, (_, row) => row) } },
  targets: { dtype: 'int32', shape: [rows], data: Int32Array.from({ length: rows }, (_, row) => row) },
  notes: [],
})
const numbersOf = ({ inputs }: Rows): number[] => [...(inputs['x']!.data as Float32Array)]

describe('the parts of the rows', () => {
  it('hold half out, and choose layers by rows that neither calibrate nor judge', () => {
    const { calibration, choosing, heldOut } = partsOf(
      numbered(1000),
      undefined,
      { calibration: 200, heldOut: 5000 },
      1,
      1,
    )
    const all = [calibration, choosing, heldOut].flatMap(numbersOf)
    expect([calibration, choosing, heldOut].map((part) => numbersOf(part).length)).toEqual([200, 300, 500])
    expect(new Set(all).size).toBe(1000)
    // Labels go with their rows.
    expect([...heldOut.targets!.data].map(Number)).toEqual(numbersOf(heldOut))
  })

  it('choose by calibration rows where there are hardly others', () => {
    const { calibration, choosing } = partsOf(numbered(300), undefined, { calibration: 100, heldOut: 5000 }, 1, 1)
    expect(numbersOf(choosing)).toEqual(numbersOf(calibration))
  })

  it('judge by other rows where there are some, as many as is asked for', () => {
    const { calibration, heldOut } = partsOf(numbered(50), numbered(400), { calibration: 100, heldOut: 30 }, 1, 1)
    expect(numbersOf(calibration)).toHaveLength(50)
    expect(new Set(numbersOf(heldOut)).size).toBe(30)
  })

  it('are the same with the same seed, and refused where there are too few', () => {
    const sizes = { calibration: 10, heldOut: 10 }
    expect(partsOf(numbered(40), undefined, sizes, 3, 1)).toEqual(partsOf(numbered(40), undefined, sizes, 3, 1))
    expect(() => partsOf(numbered(1), undefined, sizes, 1, 1)).toThrow(/1 rows are too few/)
    expect(() => partsOf(numbered(20), undefined, sizes, 1, 16)).toThrow(/too few/)
  })
})
