import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, type Dataset } from '@tideway/core'
import sharp from 'sharp'
import { BadRows, type LoadReport } from './bad-rows.js'
import { fileSize } from './bytes.js'
import { errors } from './errors.js'
import { type DataLimits, Limiter } from './limits.js'

export interface ImageFolderOptions {
  /** Every image is resized to this many pixels. */
  readonly size: { readonly height: number; readonly width: number }
  /** 1 is grey, 3 red, green, blue; default 3. Transparency is laid on black. */
  readonly channels?: 1 | 3
  /** How another shape is resized: `fill` stretches, `cover` cuts off, `contain` adds black. Default `fill`. */
  readonly fit?: 'fill' | 'cover' | 'contain'
  /** `error`: bad images end loading, with the first ones named. `drop`: they are left out and counted. */
  readonly onBadImage?: 'error' | 'drop'
  readonly limits?: Partial<DataLimits>
}

export interface ImageDataset extends Dataset {
  readonly report: LoadReport
}

const EXTENSION = /\.(png|jpe?g)$/i
const SIGNATURES = [Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from('\xff\xd8\xff', 'latin1')]
const AT_ONCE = 4

/**
 * Reads a folder with one sub-folder of PNG and JPEG files for each class: classes are the sub-folders' names and images
 * their files', both sorted by code unit, so that any machine gives the same order. Files of other names, hidden ones
 * and links are read past. The inputs are uint8 [images, height, width, channels] with scale 1/255. Throws
 * `IMAGES_INVALID` naming bad files, `DATA_LIMIT_EXCEEDED`.
 *
 * @example
 * const dataset = await readImageFolder('photos', { size: { height: 96, width: 96 }, onBadImage: 'drop' })
 */
export async function readImageFolder(dir: string, options: ImageFolderOptions): Promise<ImageDataset> {
  const { size, channels = 3, onBadImage = 'error' } = options
  const limiter = new Limiter(dir, options.limits)
  const bytes = size.height * size.width * channels
  if (!Number.isSafeInteger(bytes) || bytes < 1 || size.height < 1)
    throw errors.IMAGES_INVALID({ file: dir, issues: [`size ${size.height} x ${size.width} is no size of an image`] })
  const classes = await namesIn(dir, dir, 'folder')
  limiter.check('maxEntries', classes.length)
  const files: { name: string; label: number }[] = []
  for (const [label, folder] of classes.entries()) {
    const names = await namesIn(join(dir, folder), dir, 'file')
    files.push(...names.filter((name) => EXTENSION.test(name)).map((name) => ({ name: `${folder}/${name}`, label })))
    limiter.check('maxRows', files.length)
    limiter.check('maxDecodedBytes', files.length * bytes)
  }
  const bad = new BadRows()
  const pixels = new Uint8Array(files.length * bytes)
  const labels: number[] = []
  for (let from = 0; from < files.length; from += AT_ONCE) {
    const some = files.slice(from, from + AT_ONCE)
    const decoded = await Promise.all(
      some.map(({ name }) => decode(join(dir, name), { ...options, channels }, limiter)),
    )
    for (const [at, image] of decoded.entries()) {
      if (typeof image === 'string') {
        bad.dropped++
        bad.add(some[at]?.name ?? '', 'image', image, 'a whole PNG or JPEG')
      } else {
        pixels.set(image, labels.length * bytes)
        labels.push(some[at]?.label ?? 0)
      }
    }
  }
  if (bad.dropped > 0 && onBadImage === 'error')
    throw errors.IMAGES_INVALID({ file: dir, issues: bad.issues, bad: bad.bad })
  if (labels.length === 0)
    throw errors.IMAGES_INVALID({ file: dir, issues: ['no images', ...bad.issues], bad: bad.bad })
  const image: [number, number, number] = [size.height, size.width, channels]
  return {
    inputs: {
      dtype: 'uint8',
      shape: [labels.length, ...image],
      data: bad.dropped > 0 ? pixels.slice(0, labels.length * bytes) : pixels,
    },
    targets: { dtype: 'int32', shape: [labels.length], data: Int32Array.from(labels) },
    scale: 1 / 255,
    classes,
    image,
    report: bad.report(dir, labels.length),
  }
}

async function namesIn(dir: string, root: string, wanted: 'folder' | 'file'): Promise<string[]> {
  const found = await readdir(dir, { withFileTypes: true }).catch((cause: unknown) => {
    throw errors.IMAGES_INVALID({ file: root, issues: ['it cannot be read: it must be a folder'] }, cause)
  })
  return found
    .filter((item) => !item.name.startsWith('.') && (wanted === 'folder' ? item.isDirectory() : item.isFile()))
    .map(({ name }) => name)
    .sort()
}

/** The pixels, or what is wrong with the file. */
async function decode(
  path: string,
  { size, channels, fit = 'fill' }: ImageFolderOptions,
  limiter: Limiter,
): Promise<Uint8Array | string> {
  const bytes = await contentOf(path, limiter)
  if (bytes === undefined) return 'a file that cannot be read'
  // By content: the decoder also knows formats that may refer to other files.
  if (!SIGNATURES.some((signature) => bytes.subarray(0, signature.length).equals(signature))) return 'not PNG or JPEG'
  try {
    const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata()
    if (width * height > limiter.get('maxImagePixels')) return 'an image of too many pixels'
    const image = sharp(bytes, { failOn: 'warning', limitInputPixels: limiter.get('maxImagePixels') })
      .autoOrient()
      .resize({ ...size, fit, background: 'black' })
      .flatten({ background: 'black' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
    return info.channels === channels ? data : 'an image of other channels'
  } catch {
    return 'an image that cannot be decoded'
  }
}

async function contentOf(path: string, limiter: Limiter): Promise<Buffer | undefined> {
  try {
    await fileSize(path, new Limiter(path, { maxFileBytes: limiter.get('maxFileBytes') }), (issue) => new Error(issue))
    return await readFile(path)
  } catch (error) {
    if (codeOf(error) !== undefined) throw error
    return undefined
  }
}
