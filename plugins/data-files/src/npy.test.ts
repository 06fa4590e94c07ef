import { elementCount, type Tensor } from '@tideway/core'
import fc from 'fast-check'
import { strToU8, zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { damaged, refusal, testFolder } from './files.fixture.js'
import { NUMPY, npyBytes } from './npy.fixture.js'
import { readNpy } from './npy.js'
import { readNpz } from './npz.js'

const { write } = testFolder()
let files = 0
const read = (content: Uint8Array, limits = {}) => readNpy(write(`${files++}.npy`, content), { limits })
const readZip = (content: Uint8Array, limits = {}) => readNpz(write(`${files++}.npz`, content), { limits })
const numbersOf = ({ data }: Tensor) => Array.from(data as ArrayLike<unknown>, Number)

const array = fc.record({
  kind: fc.constantFrom(...Object.keys(NUMPY)),
  shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  version: fc.constantFrom(1 as const, 2 as const, 3 as const),
  order: fc.constantFrom('<' as const, '>' as const),
  fortran: fc.boolean(),
  seed: fc.integer({ min: 0, max: 100 }),
})
/** Whole numbers from 0 to 1, 100 or 127: what every element type holds. */
const filled = (kind: string, shape: readonly number[], seed: number) =>
  Array.from({ length: elementCount(shape) }, (_, at) => (seed + at * 7) % (kind === 'b1' ? 2 : 101))

describe('readNpy', () => {
  it('gives back any array of numbers, of any version, byte order and element order', async () => {
    await fc.assert(
      fc.asyncProperty(array, async ({ kind, shape, version, order, fortran, seed }) => {
        const values = filled(kind, shape, seed)
        // In Fortran's order the first axis varies fastest: the place of a row-major index, by its definition.
        const places = values.map((_, index) => {
          let [rest, place] = [index, 0]
          for (let axis = shape.length - 1; axis >= 0; axis--) {
            place += (rest % (shape[axis] ?? 1)) * elementCount(shape.slice(0, axis))
            rest = Math.floor(rest / (shape[axis] ?? 1))
          }
          return fortran ? place : index
        })
        const tensor = await read(npyBytes(kind, shape, values, { version, order }, fortran))
        expect(tensor.shape).toEqual(shape)
        expect(numbersOf(tensor)).toEqual(places.map((place) => values[place]))
      }),
      { numRuns: 200 },
    )
  })

  it('keeps what only the element type can hold', async () => {
    expect((await read(npyBytes('f8', [2], [0.1, Number.NaN]))).data).toEqual(Float64Array.of(0.1, Number.NaN))
    expect((await read(npyBytes('i8', [1], [-(2 ** 53)], { order: '>' }))).data).toEqual(BigInt64Array.of(-(2n ** 53n)))
    expect((await read(npyBytes('b1', [2], [1, 0]))).dtype).toBe('bool')
  })

  it.each([
    ['objects', "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", /pickled/],
    ['records', "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", /records with fields/],
    ['texts', "{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", /of a type that is not read/],
    ['another key', "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1, }", /something else than/],
    ['a key that is missing', "{'descr': '<f4', 'shape': (1,), }", /lacks/],
    ['a key twice', "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", /descr twice/],
    ['a negative size', "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", /shape cannot be read/],
    ['code', "__import__('os')", /no dictionary/],
    [
      'more values than there are',
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
      /ends after 4 of 12 bytes/,
    ],
    ['fewer values than there are', "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", /goes on after/],
  ])('refuses a header with %s', async (_, header, issue) => {
    const { code, issues } = await refusal(read(npyBytes('f4', [1], [1], { header })))
    expect(code).toBe('NPY_INVALID')
    expect(issues.join()).toMatch(issue)
  })

  it('refuses a claimed shape beyond the limits without making room for it', async () => {
    const header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 999999999999999, 999999999999999), }"
    const before = process.memoryUsage().arrayBuffers
    const { code, error } = await refusal(read(npyBytes('f8', [0], [], { header })))
    expect([code, error]).toMatchObject(['DATA_LIMIT_EXCEEDED', { data: { limit: 'maxDecodedBytes' } }])
    const large = "{'descr': '<f8', 'fortran_order': False, 'shape': (200000000,), }"
    expect((await refusal(read(npyBytes('f8', [0], [], { header: large }), { maxRows: 1e9 }))).code).toBe('NPY_INVALID')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000)
  })

  it('reads or refuses with a code whatever bytes come', async () => {
    const whole = npyBytes('i4', [2, 3], [1, 2, 3, 4, 5, 6])
    const part = fc.double({ min: 0, max: 0.999, noNaN: true })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(part, part), { maxLength: 4 }), part, async (changes, keep) => {
        try {
          await read(damaged(whole, changes, keep))
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^(NPY_INVALID|DATA_LIMIT_EXCEEDED)$/)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('readNpz', () => {
  const x = npyBytes('f4', [2, 1], [1, 2])
  const y = npyBytes('i8', [2], [0, 1])

  it('reads each array by its name, compressed or not', async () => {
    for (const level of [0, 6] as const) {
      const tensors = await readZip(zipSync({ 'x.npy': x, 'y.npy': y }, { level }))
      expect(Object.keys(tensors)).toEqual(['x', 'y'])
      expect(tensors['x']).toEqual({ dtype: 'float32', shape: [2, 1], data: Float32Array.of(1, 2) })
    }
  })

  it('refuses what is no archive of arrays, by the array', async () => {
    expect((await refusal(readZip(strToU8('no archive')))).issues).toEqual(['its archive is broken'])
    expect((await refusal(readZip(zipSync({ 'x.npy': x, 'readme.txt': x })))).issues[0]).toMatch(
      /^entry 2 of the archive/,
    )
    expect((await refusal(readZip(zipSync({ 'x.npy': strToU8('hello') })))).issues).toEqual([
      'array "x": it does not begin as NPY does',
    ])
  })

  it('refuses an array whose bytes were altered, by its checksum', async () => {
    const bytes = zipSync({ 'x.npy': x }, { level: 0 })
    const at = Buffer.from(bytes).indexOf(x) + x.length - 1
    bytes[at] = (bytes[at] ?? 0) ^ 1
    expect((await refusal(readZip(bytes))).issues).toEqual(['array "x": its checksum is wrong'])
  })

  it('stops a small archive that would grow beyond the limit, by array and in all', async () => {
    const zeros = npyBytes(
      'u1',
      [1_000_000],
      Array.from({ length: 1_000_000 }, () => 0),
    )
    const bomb = zipSync({ 'a.npy': zeros, 'b.npy': zeros })
    expect(bomb.length).toBeLessThan(5000)
    expect((await readZip(bomb, { maxDecodedBytes: 2_000_000 }))['b']?.shape).toEqual([1_000_000])
    for (const maxDecodedBytes of [999_999, 1_999_999])
      expect((await refusal(readZip(bomb, { maxDecodedBytes }))).code).toBe('DATA_LIMIT_EXCEEDED')
    expect((await refusal(readZip(bomb, { maxEntries: 1 }))).code).toBe('DATA_LIMIT_EXCEEDED')
  })

  it('reads or refuses with a code whatever bytes come', async () => {
    const whole = zipSync({ 'x.npy': x, 'y.npy': y })
    const part = fc.double({ min: 0, max: 0.999, noNaN: true })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(part, part), { maxLength: 4 }), part, async (changes, keep) => {
        try {
          await readZip(damaged(whole, changes, keep))
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^(NPY_INVALID|DATA_LIMIT_EXCEEDED)$/)
        }
      }),
      { numRuns: 200 },
    )
  })
})
