import type { Emission, Rule, Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { elements } from './tensor.js'
import { Refused } from './values.js'
import { byAxis, filled, imageGiven, imageOf, isSame, NHWC, type Windows, windowsOf } from './windows.js'

/** Below every float; not the infinity, which not every shader language has. */
const LEAST = -3.4028234663852886e38

function poolWindows(e: Emission): Windows {
  const window = windowsOf(e, e.info.ints('kernel_shape') ?? [])
  if (window.dilations.some((step) => step !== 1)) throw new Refused('TensorFlow.js has no dilated pooling')
  if (e.node.outputs.length > 1) throw new Refused('its second output, indices, has no form')
  return window
}

const pooled = (e: Emission, op: string, image: Ref, { kernel, strides }: Windows, padding: string): Ref =>
  e.op(op, [image], { ...NHWC, ksize: byAxis(kernel), strides: byAxis(strides), padding: attr.text(padding) })

const maxPool: Rule = (e) => {
  const window = poolWindows(e)
  if (isSame(window)) return imageGiven(e, pooled(e, 'MaxPool', imageOf(e), window, 'SAME'))
  return imageGiven(e, pooled(e, 'MaxPool', filled(e, imageOf(e), window, LEAST), window, 'VALID'))
}

/** TensorFlow's SAME counts no padding; where ONNX counts otherwise, a factor for each place makes it good. */
const averagePool: Rule = (e) => {
  const window = poolWindows(e)
  const withPads = e.info.int('count_include_pad', 0) === 1
  if (isSame(window) && !withPads) return imageGiven(e, pooled(e, 'AvgPool', imageOf(e), window, 'SAME'))
  const seen = window.counts.map((count, axis) => {
    const size = window.sizes[axis] as number
    const stop = size + (withPads ? (window.end[axis] ?? 0) : 0)
    return Array.from({ length: count }, (_, at) => {
      const first = at * (window.strides[axis] ?? 1) - (window.begin[axis] ?? 0)
      const places = Array.from({ length: window.kernel[axis] ?? 1 }, (_, place) => first + place)
      return places.filter((place) => place < stop && (withPads || place >= 0)).length
    })
  }) as [number[], number[]]
  const area = elements(window.kernel)
  const factors = seen[0].flatMap((rows) => seen[1].map((columns) => area / (rows * columns)))
  const average = pooled(e, 'AvgPool', filled(e, imageOf(e), window, 0), window, 'VALID')
  if (factors.every((factor) => factor === 1)) return imageGiven(e, average)
  const shape = [1, seen[0].length, seen[1].length, 1]
  const by = e.stored({ dtype: 'float32', shape, data: Float32Array.from(factors) }, 'counts')
  return imageGiven(e, e.op('Mul', [average, by]))
}

/** Over all spatial axes, which stay with a size of 1. */
const overSpace =
  (op: string): Rule =>
  (e) => {
    const spatial = e.in(0).shape.slice(2)
    const attrs = { keep_dims: attr.bool(true) }
    if (!e.values.isLast(e.in(0))) return e.op(op, [e.first(0), e.ints(spatial.map((_, axis) => axis + 2))], attrs)
    return { last: e.op(op, [e.last(0), e.ints(spatial.map((_, axis) => axis + 1))], attrs) }
  }

/** Pooling over one or two spatial axes; over all of them whatever their number. */
export const pooling: Rules = {
  AveragePool: averagePool,
  GlobalAveragePool: overSpace('Mean'),
  GlobalMaxPool: overSpace('Max'),
  MaxPool: maxPool,
}
