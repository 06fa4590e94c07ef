import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tableModel } from '@tideway/test/support/backbone'
import { temporaryFolder } from '@tideway/test/support/folder'
import { afterEach, describe, expect, it } from 'vitest'
import { type QuantizeOrder, quantizeFile } from './order.js'

const cleans: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleans.splice(0)) await clean()
})

/** An order of a small model, over tables of rows that have these classes in turns. */
async function order(calibrate?: readonly string[], data?: readonly string[]): Promise<QuantizeOrder> {
  const folder = await temporaryFolder((clean) => void cleans.push(clean))
  const file = join(folder, 'table.onnx')
  await writeFile(file, tableModel())
  const table = async (name: string, classes: readonly string[]) => {
    const path = join(folder, name)
    const lines = Array.from({ length: 60 }, (_, row) =>
      [Math.sin(row), Math.cos(row), Math.sin(3 * row), classes[row % classes.length]].join(),
    )
    await writeFile(path, ['flow,current,vibration,kind', ...lines, ''].join('\n'))
    return path
  }
  return {
    file,
    recipe: 'fp16',
    aim: 'size',
    labels: true,
    calibrationRows: 512,
    heldOutRows: 5_000,
    seed: 1,
    during: (_, work) => work(),
    ...(calibrate && { calibrate: await table('calibrate.csv', calibrate), target: ['kind'] }),
    ...(data && { data: await table('data.csv', data), target: ['kind'] }),
  }
}

describe('an order to quantize', () => {
  it('is refused where the rows to calibrate and those to judge by have other classes', async () => {
    const error = await quantizeFile(await order(['piston', 'screw'], ['piston', 'vane'])).catch(
      (caught: unknown) => caught,
    )
    expect(error).toMatchObject({
      code: 'DATA_INVALID',
      data: { issues: ['class vane: in --data, not in --calibrate', 'class screw: in --calibrate, not in --data'] },
    })
    const { report } = await quantizeFile(await order(['piston', 'screw'], ['screw', 'piston']))
    expect(report.classes?.map(({ name }) => name)).toEqual(['piston', 'screw'])
  })

  it('without rows is refused with every option that is about rows', async () => {
    const options = { maxLoss: 0.1, maxSlowdown: 2, target: ['kind'], image: [8, 8, 1] as const }
    const given = { ...(await order()), ...options, scale: 2, labels: false }
    const error = await quantizeFile(given).catch((caught: { data: { issues: string[] } }) => caught)
    expect(error).toMatchObject({ code: 'QUANTIZE_ORDER_INVALID' })
    expect((error as { data: { issues: string[] } }).data.issues.map((issue) => issue.split(' ')[0])).toEqual([
      '--max-loss',
      '--max-slowdown',
      '--target',
      '--image',
      '--scale',
      '--no-labels',
    ])
  })
})
