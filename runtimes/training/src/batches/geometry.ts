/** How a row's values lie: an image, or a series, which is an image one pixel wide whose channels are the features. */
export interface Geometry {
  readonly kind: 'image' | 'series'
  /** Pixels; a series' time steps. */
  readonly height: number
  readonly width: number
  /** A series' features. */
  readonly channels: number
  /** Whether a pixel's channels stand together ([height, width, channels]) or each is a plane ([channels, height, width]). */
  readonly layout: 'channelsLast' | 'channelsFirst'
}

/** Places of values: pixel p of channel c is at p * pixel + c * channel. */
export function strides({ height, width, channels, layout }: Geometry): { pixel: number; channel: number } {
  return layout === 'channelsLast' ? { pixel: channels, channel: 1 } : { pixel: 1, channel: height * width }
}

/**
 * The geometry of rows of a shape. `image` ([height, width, channels], as in `Dataset`) makes images of flat rows, and
 * tells [channels, height, width] from [height, width, channels]. Else three axes are an image, channels last, two are
 * [steps, features], and one is a series of one feature; `undefined` for other shapes and where `image` does not fit.
 */
export function geometryOf(shape: readonly number[], image?: readonly [number, number, number]): Geometry | undefined {
  if (image !== undefined) {
    const [height, width, channels] = image
    const of = (layout: Geometry['layout']): Geometry => ({ kind: 'image', height, width, channels, layout })
    const same = (other: readonly number[]): boolean => shape.join() === other.join()
    if (same([height * width * channels]) || same(image) || (channels === 1 && same([height, width])))
      return of('channelsLast')
    return same([channels, height, width]) ? of('channelsFirst') : undefined
  }
  const [height = 0, width = 1, channels = 1] = shape
  if (shape.length === 3) return { kind: 'image', height, width, channels, layout: 'channelsLast' }
  if (shape.length !== 1 && shape.length !== 2) return undefined
  return { kind: 'series', height, width: 1, channels: width, layout: 'channelsLast' }
}
