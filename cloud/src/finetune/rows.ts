import { type Dataset, elementCount, type Tensor } from '@tideway/core'

export type ImageShape = readonly [height: number, width: number, channels: number]

/** How a model takes images; undefined for rows that are none. */
export interface ImageInput {
  readonly shape: ImageShape
  /** One row as the model has it. */
  readonly row: readonly number[]
}

const isChannels = (size: number | null | undefined): size is 1 | 3 => size === 1 || size === 3

/**
 * The images that a model takes, from one row's shape (null: a free size): [channels, height, width] as PyTorch exports,
 * [height, width, channels] as Keras does, [height, width], or flat. `wanted` gives sizes that the file leaves free.
 */
export function imageInput(row: readonly (number | null)[], wanted?: ImageShape): ImageInput | string {
  const given = `[${row.map((size) => size ?? '?').join(', ')}]`
  const [a, b, c] = row
  const sized = (height = wanted?.[0] ?? 0, width = wanted?.[1] ?? 0, channels = wanted?.[2] ?? 0): ImageShape => [
    height,
    width,
    channels,
  ]
  let found: ImageInput | undefined
  const has = (size: number | null | undefined): number | undefined => size ?? undefined
  if (row.length === 3 && isChannels(a)) {
    const shape = sized(has(b), has(c), a)
    found = { shape, row: [shape[2], shape[0], shape[1]] }
  } else if (row.length === 3 && isChannels(c)) {
    const shape = sized(has(a), has(b), c)
    found = { shape, row: shape }
  } else if (row.length === 2) {
    const shape = sized(has(a), has(b), 1)
    found = { shape, row: shape.slice(0, 2) }
  } else if (row.length === 1 && wanted !== undefined) found = { shape: wanted, row: [elementCount(wanted)] }
  if (found === undefined)
    return row.length === 1
      ? `the model takes rows of ${given}: say with --image HxWxC which images they are`
      : `the model takes rows of ${given}, which are no images of 1 or 3 channels`
  if (found.shape.some((size) => size < 1)) return `the model leaves sizes of ${given} free: give --image HxWxC`
  const fits = row.length === found.row.length && row.every((size, i) => size === null || size === found.row[i])
  const agrees = wanted === undefined || wanted.join() === found.shape.join()
  return fits && agrees ? found : `--image ${wanted?.join('x')} does not fit the model's rows of ${given}`
}

/** [rows, height, width, channels] as [rows, channels, height, width]. */
export function channelsFirst(tensor: Tensor): Tensor {
  const [rows = 0, height = 0, width = 0, channels = 0] = tensor.shape
  const pixels = height * width
  const source = tensor.data as Uint8Array
  const data = source.slice()
  for (let row = 0; row < rows; row += 1)
    for (let pixel = 0; pixel < pixels; pixel += 1)
      for (let channel = 0; channel < channels; channel += 1)
        data[(row * channels + channel) * pixels + pixel] = source[(row * pixels + pixel) * channels + channel]!
  return { ...tensor, shape: [rows, channels, height, width], data } as Tensor
}

/**
 * A data set with rows of the shape that a model takes: as they are, images with their channels first, or flat rows as
 * places (and the other way round). Answers what is wrong where none of this fits.
 */
export function rowsFor(dataset: Dataset, row: readonly number[]): Dataset | string {
  const { inputs } = dataset
  const have = inputs.shape.slice(1)
  const same = (other: readonly number[]): boolean => other.length === row.length && other.every((s, i) => s === row[i])
  if (same(have)) return dataset
  const [height = 0, width = 0, channels = 0] = have
  if (have.length === 3 && same([channels, height, width])) return { ...dataset, inputs: channelsFirst(inputs) }
  const places = (shape: readonly number[]): string => shape.filter((size) => size !== 1).join()
  const isOnePlane = channels === 1 && places(have) === places(row)
  if (elementCount(have) === elementCount(row) && (have.length === 1 || row.length === 1 || isOnePlane))
    return { ...dataset, inputs: { ...inputs, shape: [inputs.shape[0] ?? 0, ...row] } as Tensor }
  return `rows of [${have.join(', ')}], but the model takes [${row.join(', ')}]`
}
