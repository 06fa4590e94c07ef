import { createQuantizer, graphOf, onnxErrors, readModel, toTensor, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { backbone, patterns, SIDE } from '@tideway/test/support/backbone'
import { describe, expect, it } from 'vitest'
import type { Ground, Made, Rung } from './ladder.js'
import type { Rows } from './rows.js'
import { contest, type Limits } from './search.js'

const ROWS = 300
const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const rows: Rows = {
  inputs: {
    x: {
      dtype: 'float32',
      shape: [ROWS, 1, SIDE, SIDE],
      data: Float32Array.from(patterns(ROWS).pixels, (value) => value / 255),
    },
  },
  notes: [],
}

/** Takes the last layer's weights away: every row gets the same class. */
function spoiled(bytes: Uint8Array): Uint8Array {
  const model = readModel(bytes)
  for (const tensor of graphOf(model).initializer)
    if (tensor.name === 'fc.weight') tensor.rawData = new Uint8Array(4 * toTensor(tensor).data.length)
  return writeModel(model)
}

const rung = (id: string, make: (ground: Ground) => Promise<Made>, family: Rung['family'] = 'fp16'): Rung => ({
  id,
  what: id,
  family,
  calibrates: false,
  make,
})
const file = (onnx: Uint8Array): Promise<Made> =>
  Promise.resolve({ onnx, precision: 'int8', quantized: ['fc'], kept: [] })
const nothing = rung('nothing', () => Promise.reject(onnxErrors.QUANTIZE_NOTHING({ kept: [] })))
const same = rung('same', ({ float }) => file(float))
const broken = rung('broken', ({ float }) => file(spoiled(float)))
const weights = rung('weights', ({ float }) =>
  createQuantizer().quantize(float, {}, runtime, { scheme: 'int8-weights' }),
)

const run = (rungs: readonly Rung[], limits: Limits) =>
  contest({
    float: backbone(),
    parts: { calibration: rows, choosing: rows, heldOut: rows },
    runtime,
    rungs,
    limits,
    during: (_, work) => work(),
  })

describe('a contest of recipes', () => {
  it('passes over what is not possible, loses too much or is no smaller, and ends with the first that holds', async () => {
    const { tries, winner, judge } = await run([nothing, broken, same, weights, same], { maxLoss: 0.02 })
    expect(judge.measure).toBe('agreement')
    expect(tries.map(({ recipe, outcome }) => [recipe, outcome])).toEqual([
      ['nothing', 'impossible'],
      ['broken', 'loses'],
      ['same', 'large'],
      ['weights', 'holds'],
    ])
    expect(winner?.rung).toBe(weights)
    expect(winner?.made.onnx.byteLength).toBeLessThan(backbone().byteLength)
  })

  it('has a best without a winner, the one that lost least', async () => {
    const { tries, winner, best } = await run([broken, weights], { maxLoss: -1 })
    expect(tries.map(({ outcome }) => outcome)).toEqual(['loses', 'loses'])
    expect(winner).toBeUndefined()
    expect(best?.rung).toBe(weights)
  })

  it('skips what computes as something does that was too slow', async () => {
    const limits = { maxLoss: 1, maxSlowdown: 1e-6 }
    const { tries } = await run(
      [weights, rung('again', () => file(backbone())), { ...weights, family: 'int8-weights' }],
      limits,
    )
    expect(tries.map(({ outcome }) => outcome)).toEqual(['slow', 'skipped', 'slow'])
    expect(tries[0]?.slowdown).toBeGreaterThan(0)
    // Slow ones are not refined, whether they lose or not.
    const losing = await run([broken, rung('again', () => file(backbone()))], { maxLoss: 0.02, maxSlowdown: 1e-6 })
    expect(losing.tries.map(({ outcome }) => outcome)).toEqual(['loses', 'skipped'])
  })

  it('lets a recipe measure its loss, and ends one that goes on for ever', async () => {
    const losses: number[] = []
    const endless = rung('endless', async ({ float, gate }) => {
      for (;;) losses.push(await gate.measure(spoiled(float)))
    })
    const { tries } = await run([endless, weights], { maxLoss: 0.02 })
    expect(tries[0]).toMatchObject({
      outcome: 'loses',
      reason: expect.stringMatching(/layers in float were not enough/),
    })
    expect(losses.length).toBeGreaterThan(3)
    for (const loss of losses) expect(loss).toBeGreaterThan(0.02)
  })

  it('says of a recipe that measured and ended with nothing that it lost', async () => {
    const exhausted = rung('exhausted', async ({ float, gate }) => {
      await gate.measure(spoiled(float))
      throw onnxErrors.QUANTIZE_NOTHING({ kept: ['fc: its error is the largest'] })
    })
    const { tries } = await run([exhausted, weights], { maxLoss: 0.02 })
    expect(tries[0]).toMatchObject({ outcome: 'loses', reason: expect.stringMatching(/every layer but one/) })
  })

  it('lets the error of one recipe alone through, and every other error of several', async () => {
    await expect(run([nothing], { maxLoss: 1 })).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
    const bad = rung('bad', () => Promise.reject(onnxErrors.CALIBRATION_INVALID({ issues: ['x: has no rows'] })))
    await expect(run([bad, weights], { maxLoss: 1 })).rejects.toMatchObject({ code: 'CALIBRATION_INVALID' })
  })
})
