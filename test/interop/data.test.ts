import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readNpy, readNpz, readParquet, tensorDataset } from '@tideway/data-files'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Python with numpy and, for Parquet, pyarrow. */
const python = process.env.TIDEWAY_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('./write_data.py', import.meta.url))
const ROWS = 5000

interface Told {
  readonly npy: Readonly<Record<string, readonly number[]>>
  readonly parquet: readonly string[]
  readonly double?: readonly number[]
}

let dir: string
let told: Told
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-data-'))
  told = JSON.parse(execFileSync(python, [script, dir], { encoding: 'utf8' })) as Told
})
afterAll(() => rm(dir, { recursive: true }))

const rows = <T>(value: (row: number) => T): T[] => Array.from({ length: ROWS }, (_, row) => value(row))

describe('files that numpy wrote', () => {
  it('hold the same numbers in every type, byte order and order of elements', async () => {
    expect(Object.keys(told.npy)).toHaveLength(44)
    for (const [name, values] of Object.entries(told.npy)) {
      const { shape, data } = await readNpy(join(dir, `${name}.npy`))
      expect(shape, name).toEqual([3, 4, 2])
      expect(Array.from(data as ArrayLike<unknown>, Number), name).toEqual(values.map(Number))
    }
  })

  it('are refused where they hold pickled objects or texts', async () => {
    for (const name of ['objects', 'texts'])
      await expect(readNpy(join(dir, `${name}.npy`))).rejects.toMatchObject({ code: 'NPY_INVALID' })
  })

  it('give halves and labels of an archive as data to train on', async () => {
    const { x, y } = await readNpz(join(dir, 'arrays.npz'))
    const dataset = tensorDataset(x!, y!)
    expect(dataset.inputs.data).toEqual(Float32Array.of(0.5, -1.25, 65_504, 2 ** -24))
    expect(dataset.targets.data).toEqual(Int32Array.of(1, 0))
  })
})

describe('files that pyarrow wrote', () => {
  it('hold the same columns with every compression and version of pages', async (context) => {
    if (told.parquet.length === 0) context.skip('pyarrow is not installed: pip install pyarrow')
    expect(told.parquet).toHaveLength(12)
    for (const name of told.parquet) {
      const { columns, schema } = await readParquet(join(dir, name), {
        schema: {
          columns: {
            double: { type: 'number' },
            hole: { type: 'number', impute: 'mean' },
            kind: { type: 'category' },
            at: { type: 'time', origin: '2024-01-01T00:00:00Z', unit: 'hours' },
            price: { type: 'number' },
            flag: { type: 'category' },
          },
        },
      })
      expect(schema.columns['kind'], name).toMatchObject({ values: ['x0', 'x1', 'x2', 'x3', 'x4'] })
      expect(schema.columns['flag'], name).toMatchObject({ values: ['false', 'true'] })
      expect(Array.from(columns['double']!), name).toEqual(told.double)
      expect(Array.from(columns['hole']!), name).toEqual(rows((row) => (row % 7 === 0 ? Number.NaN : row)))
      expect(Array.from(columns['kind']!), name).toEqual(rows((row) => row % 5))
      expect(Array.from(columns['at']!), name).toEqual(rows((row) => row))
      expect(Array.from(columns['price']!), name).toEqual(rows((row) => row / 4))
      expect(Array.from(columns['flag']!), name).toEqual(rows((row) => (row + 1) % 2))
    }
  })
})
