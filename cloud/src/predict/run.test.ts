import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errors, type Tensor, type Tensors } from '@tideway/core'
import { openRows } from '@tideway/data-files'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine } from './engine.js'
import { type PredictOrder, predictFile } from './run.js'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-predict-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const x = { name: 'x', dtype: 'float32', shape: [null, 2] } as const
/** Odds of two classes by the first column; fails on rows whose second one is 13. */
function engine(over: Partial<Engine> = {}): Engine & { readonly runs: number[] } {
  const runs: number[] = []
  return {
    runs,
    signature: { inputs: [x], outputs: [{ ...x, name: 'odds' }] },
    digest: 'd'.repeat(64),
    atOnce: 2,
    async run(inputs: Tensors) {
      const { data, shape } = inputs.x as Tensor & { data: Float32Array }
      if (data.some((value, at) => at % 2 === 1 && value === 13)) throw errors.RUN_FAILED({ reason: 'unlucky' })
      runs.push(shape[0] as number)
      return {
        odds: { dtype: 'float32', shape, data: data.map((_, at) => (at % 2 === 0 ? 1 - data[at]! : data[at - 1]!)) },
      }
    },
    dispose: async () => undefined,
    ...over,
  }
}

const lines = (count: number, b = (at: number): number | string => at % 7) =>
  Array.from({ length: count }, (_, at) => `r${at},${(at % 4) / 4},${b(at)}`)

async function predict(rows: readonly string[], over: Partial<PredictOrder> = {}) {
  const input = join(dir, 'in.csv')
  await writeFile(input, `id,a,b\n${rows.join('\n')}\n`, { flag: over.restart === false ? 'r+' : 'w' }).catch(() =>
    writeFile(input, `id,a,b\n${rows.join('\n')}\n`),
  )
  return predictFile({
    input,
    output: join(dir, 'out.csv'),
    engine: engine(),
    columns: ['a', 'b'],
    onError: 'fail',
    restart: true,
    batchRows: 4,
    settings: {},
    ...over,
  })
}
const written = async (name = 'out.csv') => (await readFile(join(dir, name), 'utf8')).trimEnd().split('\n')

describe('the rows of a file', () => {
  it('are answered beside the columns that the model does not take', async () => {
    const result = await predict(lines(3), { classes: ['low', 'high'] })
    expect(result).toMatchObject({ rows: 3, skipped: 0, resumedFrom: 0 })
    expect(await written()).toEqual([
      'id,prediction,odds.low,odds.high',
      'r0,low,1,0',
      'r1,low,0.75,0.25',
      'r2,low,0.5,0.5',
    ])
  })

  it.each<[string, Partial<PredictOrder>, string]>([
    ['all', { keep: 'all' }, 'id,a,b,odds.0,odds.1'],
    ['none', { keep: 'none' }, 'row,odds.0,odds.1'],
    ['those named, in that order', { keep: ['b', 'id'] }, 'b,id,odds.0,odds.1'],
    ['without names of classes', { keep: 'none', classes: [] }, 'row,prediction,odds.0,odds.1'],
  ])('stand beside %s', async (_, over, header) => {
    await predict(lines(2), over)
    expect((await written())[0]).toBe(header)
  })

  it('are written as JSON lines and as Parquet, too', async () => {
    await predict(lines(2), { output: join(dir, 'out.jsonl'), keep: 'none' })
    expect((await written('out.jsonl')).map((line) => JSON.parse(line) as unknown)).toEqual([
      { row: 1, 'odds.0': 1, 'odds.1': 0 },
      { row: 2, 'odds.0': 0.75, 'odds.1': 0.25 },
    ])
    await predict(lines(20_000), { output: join(dir, 'out.parquet') })
    const table = await openRows(join(dir, 'out.parquet'))
    expect(table).toMatchObject({
      names: ['id', 'odds.0', 'odds.1'],
      kinds: ['text', 'float', 'float'],
      rowCount: 20_000,
    })
  })

  it('go to the model in the same batches wherever it went on', async () => {
    const whole = engine()
    await predict(lines(20_000), { engine: whole, batchRows: 300 })
    const bytes = await readFile(join(dir, 'out.csv'))
    const stopped = engine()
    const stop = () => {
      throw new Error('killed')
    }
    const other = { output: join(dir, 'other.csv'), batchRows: 300 }
    await expect(predict(lines(20_000), { ...other, engine: stopped, onProgress: stop })).rejects.toThrow('killed')
    const rest = engine()
    const order = { ...other, restart: false, engine: rest }
    const input = join(dir, 'in.csv')
    const result = await predictFile({ input, columns: ['a', 'b'], onError: 'fail', settings: {}, ...order })
    expect(result.resumedFrom).toBe(8_192)
    expect((await readFile(join(dir, 'other.csv'))).equals(bytes)).toBe(true)
    expect(rest.runs).toEqual(whole.runs.slice(-rest.runs.length))
    expect((await readdir(dir)).sort()).toEqual(['in.csv', 'other.csv', 'out.csv'])
  })
})

describe('bad rows', () => {
  const bad = (at: number) => (at === 2 ? 'text' : at === 5 ? 13 : at)

  it('are refused with their lines and columns, and nothing is written', async () => {
    await expect(predict(lines(9, bad))).rejects.toMatchObject({
      code: 'PREDICT_ROWS_INVALID',
      data: { issues: ['line 4, b: text, must be a number'] },
    })
    await expect(predict(lines(9, (at) => (at === 5 ? 13 : at)))).rejects.toMatchObject({
      data: { issues: ['line 7, row: the model fails on it'] },
    })
    expect((await readdir(dir)).filter((name) => !name.startsWith('.'))).toEqual(['in.csv'])
  })

  it('are left out where that is said, and told in a file of their own', async () => {
    const result = await predict(lines(9, bad), { onError: 'skip' })
    expect(result).toMatchObject({ rows: 9, skipped: 2, skippedFile: join(dir, 'out.csv.skipped.jsonl') })
    expect((await written()).map((line) => line.split(',')[0])).toEqual([
      'id',
      'r0',
      'r1',
      'r3',
      'r4',
      'r6',
      'r7',
      'r8',
    ])
    expect((await written('out.csv.skipped.jsonl')).map((line) => JSON.parse(line) as unknown)).toEqual([
      { row: 3, line: 4, reason: 'b: text, must be a number' },
      { row: 6, line: 7, reason: 'row: the model fails on it' },
    ])
  })

  it.each(['csv', 'parquet'])('may be a whole part, in %s too', async (form) => {
    const result = await predict(
      lines(9_000, (at) => (at < 8_500 ? '' : 1)),
      {
        onError: 'skip',
        output: join(dir, `out.${form}`),
      },
    )
    expect(result).toMatchObject({ rows: 9_000, skipped: 8_500 })
  })

  it('may not be all', async () => {
    await expect(
      predict(
        lines(3, () => ''),
        { onError: 'skip' },
      ),
    ).rejects.toMatchObject({
      code: 'PREDICT_ORDER_INVALID',
    })
  })
})

describe('an order', () => {
  it.each<[string, Partial<PredictOrder>, string]>([
    ['of an unknown form', { output: 'out.txt' }, 'has to end with'],
    ['that keeps what is not there', { keep: ['z'] }, '--keep z'],
    [
      'that keeps a column named as an answer',
      { keep: ['id'], engine: engine({ run: async () => ({ id: answer }) }) },
      'id: both',
    ],
    [
      'of a model that does not answer each row',
      { engine: engine({ run: async () => ({ y: answer }) }) },
      'output y is [3]',
    ],
  ])('%s is refused', async (_, over, text) => {
    await expect(predict(lines(text.startsWith('id') ? 3 : 2), over)).rejects.toMatchObject({
      code: 'PREDICT_ORDER_INVALID',
      message: expect.stringContaining(text) as string,
    })
  })
})

const answer: Tensor = { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) }
