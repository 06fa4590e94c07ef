import { existsSync } from 'node:fs'
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GraphBuilder, writeModel } from '@tideway/onnx'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTideway, tideway } from '../support/command.js'
import { seeded } from '../support/seeded.js'

const ROWS = 100_000
const SEED = 20_260

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-predict-'))
  const g = new GraphBuilder('odds')
  const weights = g.constant({ dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, -2, 0.5, 0.25, 3, -1) })
  g.output('odds', g.op('Softmax', [g.op('MatMul', [g.input('x', 'float32', [null, 2]), weights])], { axis: -1n }))
  await writeFile(join(dir, 'model.onnx'), writeModel(g.build()))
  const random = seeded(SEED)
  // A row in a thousand is bad, so that what was left out has to survive, too.
  const row = (_: unknown, at: number) =>
    `r${at},${at % 997 === 5 ? 'none' : random().toFixed(6)},${random().toFixed(3)}`
  await writeFile(join(dir, 'rows.csv'), `id,a,b\n${Array.from({ length: ROWS }, row).join('\n')}\n`)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const GIVEN =
  'predict model.onnx --input rows.csv --columns a,b --on-error skip --threads 1 --progress json --json'.split(' ')
const order = (output: string, ...more: string[]) => [...GIVEN, '--output', output, ...more]
const bytes = (name: string) => readFile(join(dir, name))

/** Killed when it says `until`, and some turns later; begun again where that came after its end, as on a machine that stalls. */
async function killed(output: string, until: RegExp, turns = 0, tries = 5): Promise<readonly string[]> {
  const running = startTideway(order(output), { cwd: dir })
  await Promise.race([running.waitForLine(until), running.exited]).catch(() => undefined)
  for (let turn = turns; turn > 0; turn--) await new Promise(setImmediate)
  await running.kill('SIGKILL')
  if (tries === 0 || !existsSync(join(dir, output))) return running.lines
  await rm(join(dir, output))
  await rm(join(dir, `${output}.skipped.jsonl`), { force: true })
  return killed(output, until, turns, tries - 1)
}

describe('a prediction that is killed', () => {
  it.each(['csv', 'parquet'])('at any moment goes on where it stopped, and gives the same bytes: %s', async (form) => {
    expect(await tideway(order(`whole.${form}`), { cwd: dir })).toMatchObject({ code: 0, json: { resumedFrom: 0 } })
    const random = seeded(SEED + form.length)
    const output = `killed.${form}`
    let resumed = 0
    for (let kill = 0; kill < 6; kill++) {
      // Between one part and the next, and in the last rounds while they are put together.
      const until = kill < 4 ? `"rows":${8_192 * (1 + kill * 2 + Math.floor(random() * 2))},` : `"rows":${ROWS},`
      const turns = Math.floor(random() * 2_000)
      // Only what the first one leaves can be gone on with.
      const lines = await killed(output, new RegExp(until), turns, kill === 0 ? 5 : 0)
      // Whole, or not there.
      if (existsSync(join(dir, output))) expect((await bytes(output)).equals(await bytes(`whole.${form}`))).toBe(true)
      resumed = Math.max(resumed, ...lines.map((line) => Number(/"resumedFrom":(\d+)/.exec(line)?.[1] ?? 0)))
      if (existsSync(join(dir, output))) break
    }
    expect(resumed).toBeGreaterThan(0)
    if (!existsSync(join(dir, output))) expect(await tideway(order(output), { cwd: dir })).toMatchObject({ code: 0 })
    expect((await bytes(output)).equals(await bytes(`whole.${form}`))).toBe(true)
    expect((await bytes(`${output}.skipped.jsonl`)).equals(await bytes(`whole.${form}.skipped.jsonl`))).toBe(true)
  })

  it('is refused with other options or another input, and begins anew when told to', async () => {
    await killed('other.csv', /"rows":8192,/)
    const others = await tideway(order('other.csv', '--keep', 'none', '--batch-rows', '64'), { cwd: dir })
    expect(others).toMatchObject({ code: 1, json: { error: { code: 'PREDICT_RESUME_REFUSED' } } })
    expect(JSON.stringify(others.json)).toMatch(/keep is .*batchRows is 64, and was 256/)
    await appendFile(join(dir, 'rows.csv'), 'late,0.5,0.5\n')
    const changed = await tideway(order('other.csv'), { cwd: dir })
    expect(changed).toMatchObject({ code: 1, json: { error: { code: 'PREDICT_RESUME_REFUSED' } } })
    expect(JSON.stringify(changed.json)).toContain('the input has')
    const anew = await tideway(order('other.csv', '--restart'), { cwd: dir })
    expect(anew).toMatchObject({ code: 0, json: { rows: ROWS + 1, resumedFrom: 0 } })
    const again = await tideway(order('other.csv'), { cwd: dir })
    expect(again).toMatchObject({ code: 1, json: { error: { code: 'PREDICT_OUTPUT_EXISTS' } } })
    expect((await readdir(dir)).filter((name) => name.startsWith('.other'))).toEqual([])
  })
})
