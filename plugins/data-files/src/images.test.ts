import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkDataset, classCounts } from '@tideway/core'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { damaged, refusal, testFolder } from './files.fixture.js'
import { readImageFolder } from './images.js'

const { dir, write } = testFolder()
const size = { height: 2, width: 2 }
let folders = 0

/** An image of one colour. */
const image = (colour: string, format: 'png' | 'jpeg' = 'png', width = 2, height = 2) =>
  sharp({ create: { width, height, channels: 3, background: colour } })
    .toFormat(format)
    .toBuffer()

/** A folder with these files. */
function folder(files: Readonly<Record<string, Uint8Array | string>>): string {
  const name = `folder${folders++}`
  mkdirSync(join(dir, name))
  for (const [path, content] of Object.entries(files)) write(join(name, path), content)
  return join(dir, name)
}

describe('readImageFolder', () => {
  it('gives images in the order of classes and file names, with the sub-folders as classes', async () => {
    const dataset = await readImageFolder(
      folder({
        'b/2.png': await image('#0000ff'),
        'b/10.PNG': await image('#00ff00'),
        'a/x.png': await image('#ff0000'),
        'B/x.png': await image('#ffffff'),
        '.hidden/x.png': 'not read',
        'b/notes.txt': 'not read',
        'loose.png': 'not read',
      }),
      { size },
    )
    checkDataset(dataset)
    expect(dataset).toMatchObject({ classes: ['B', 'a', 'b'], image: [2, 2, 3], scale: 1 / 255 })
    expect(Array.from(dataset.targets.data as Int32Array)).toEqual([0, 1, 2, 2])
    expect(dataset.inputs.shape).toEqual([4, 2, 2, 3])
    const firstPixels = [0, 1, 2, 3].map((row) =>
      Array.from((dataset.inputs.data as Uint8Array).slice(row * 12, row * 12 + 3)),
    )
    expect(firstPixels).toEqual([
      [255, 255, 255],
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ])
    expect(classCounts(dataset).counts).toEqual([1, 1, 2])
  })

  it('keeps rows, columns and channels apart: pixel by pixel as they were written', async () => {
    const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, at) => at * 14)
    const png = await sharp(pixels, { raw: { width: 3, height: 2, channels: 3 } })
      .png()
      .toBuffer()
    const dataset = await readImageFolder(folder({ 'a/x.png': png, 'b/x.png': png }), { size: { height: 2, width: 3 } })
    expect(Array.from(dataset.inputs.data as Uint8Array)).toEqual([...pixels, ...pixels])
  })

  it('resizes, turns grey, reads JPEG, and lays transparency on black', async () => {
    const clear = await sharp({
      create: { width: 5, height: 5, channels: 4, background: { r: 255, g: 255, b: 255, alpha: 0 } },
    })
      .png()
      .toBuffer()
    const path = folder({ 'a/x.jpg': await image('#c8c8c8', 'jpeg', 40, 30), 'b/x.png': clear })
    const dataset = await readImageFolder(path, { size, channels: 1 })
    expect(dataset.inputs.shape).toEqual([2, 2, 2, 1])
    const [grey = 0] = dataset.inputs.data as Uint8Array
    // JPEG rounds; a flat colour stays within two of 256.
    expect(Math.abs(grey - 200)).toBeLessThanOrEqual(2)
    expect(Array.from((dataset.inputs.data as Uint8Array).slice(4))).toEqual([0, 0, 0, 0])
  })

  it('names bad images, or drops and counts them', async () => {
    const good = await image('#808080', 'png', 30, 30)
    const path = folder({
      'a/cut.png': good.subarray(0, -30),
      'a/good.png': good,
      'a/text.jpg': 'no image',
      'b/svg.png': '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
      'b/good.png': good,
      'b/empty.png': '',
    })
    const { code, issues } = await refusal(readImageFolder(path, { size }))
    expect([code, issues]).toEqual([
      'IMAGES_INVALID',
      [
        'a/cut.png, image: an image that cannot be decoded, must be a whole PNG or JPEG',
        'a/text.jpg, image: not PNG or JPEG, must be a whole PNG or JPEG',
        'b/empty.png, image: not PNG or JPEG, must be a whole PNG or JPEG',
        'b/svg.png, image: not PNG or JPEG, must be a whole PNG or JPEG',
      ],
    ])
    const { report, inputs, targets } = await readImageFolder(path, { size, onBadImage: 'drop' })
    expect(report).toMatchObject({ rows: 2, dropped: 4, bad: [{ count: 1 }, { kind: 'not PNG or JPEG', count: 3 }] })
    expect([inputs.shape[0], inputs.data.length, targets.data]).toEqual([2, 24, Int32Array.of(0, 1)])
  })

  it('names an image of too many pixels without decoding it', async () => {
    const path = folder({
      'a/large.png': await image('#000000', 'png', 200, 200),
      'b/small.png': await image('#000000'),
    })
    expect((await refusal(readImageFolder(path, { size, limits: { maxImagePixels: 1000 } }))).issues).toEqual([
      'a/large.png, image: an image of too many pixels, must be a whole PNG or JPEG',
    ])
  })

  it('holds its limits, and refuses a folder that is not there or has no images', async () => {
    const png = await image('#000000')
    const path = folder({ 'a/1.png': png, 'a/2.png': png, 'b/1.png': png })
    for (const [limit, allowed] of [
      ['maxRows', 2],
      ['maxEntries', 1],
      ['maxFileBytes', 10],
      ['maxDecodedBytes', 30],
    ] as const)
      expect((await refusal(readImageFolder(path, { size, limits: { [limit]: allowed } }))).error).toMatchObject({
        code: 'DATA_LIMIT_EXCEEDED',
        data: { limit, allowed },
      })
    expect((await refusal(readImageFolder(join(dir, 'absent'), { size }))).code).toBe('IMAGES_INVALID')
    expect((await refusal(readImageFolder(folder({ 'x.png': png }), { size }))).issues).toEqual(['no images'])
    expect((await refusal(readImageFolder(path, { size: { height: 0, width: 2 } }))).code).toBe('IMAGES_INVALID')
  })

  it('reads or names an image whatever bytes come', async () => {
    const files: Record<string, Uint8Array> = {}
    for (const format of ['png', 'jpeg'] as const) {
      const whole = await image('#336699', format, 20, 20)
      for (let at = 0; at < 60; at++)
        files[`a/${format}${at}.${format}`] = damaged(whole, [[at / 60, (at % 7) / 7]], at % 2 === 0 ? 1 : at / 60)
    }
    const path = folder(files)
    write(join(path.slice(dir.length + 1), 'b', 'whole.png'), await image('#336699'))
    copyFileSync(join(path, 'b', 'whole.png'), join(path, 'a', 'whole.png'))
    const { report } = await readImageFolder(path, { size, onBadImage: 'drop' })
    expect(report.rows + report.dropped).toBe(122)
    expect(report.dropped).toBeGreaterThan(60)
  })
})
