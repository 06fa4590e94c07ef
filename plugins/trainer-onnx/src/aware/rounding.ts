import { floats, type GraphBuilder, int64s, type RoundedWeight, type Value } from '@tideway/onnx'

/** The steps of uint8. */
const STEPS = 255
/** Up to which any two weights may stand beside each other. */
const ALWAYS = 64
/** The quantizer's finest scale. */
const MIN_SCALE = 2 ** -60

const number = (g: GraphBuilder, value: number): Value => g.constant(floats('float32', [value]))
const ints = (g: GraphBuilder, ...values: number[]): Value => g.constant(int64s(values))

/** How the values of a range are rounded: float32 scalars. */
export interface Grid {
  readonly scale: Value
  readonly low: Value
  readonly high: Value
}

/** The grid of a range [min, max], float32 [2], as the quantizer's `affineScale` lays it: 0 is on it. */
export function gridOf(g: GraphBuilder, range: Value): Grid {
  const end = (place: number): Value =>
    g.op('Gather', [range, g.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(place)) })], {
      axis: 0n,
    })
  const by = (value: Value): Value => g.op('Div', [value, number(g, STEPS)])
  const low = g.op('Min', [end(0), number(g, 0)])
  const high = g.op('Max', [end(1), number(g, 0)])
  const scale = g.op('Max', [g.op('Sub', [by(high), by(low)]), number(g, MIN_SCALE)])
  const zero = g.op('Min', [g.op('Round', [g.op('Div', [g.op('Neg', [low]), scale])]), number(g, STEPS)])
  return {
    scale,
    low: g.op('Neg', [g.op('Mul', [zero, scale])]),
    high: g.op('Mul', [g.op('Sub', [number(g, STEPS), zero]), scale]),
  }
}

/** The least and the largest of some values: float32 [2]. */
export function extremes(g: GraphBuilder, values: readonly Value[]): Value {
  const end = (reduce: 'ReduceMin' | 'ReduceMax', join: 'Min' | 'Max'): Value => {
    const each = values.map((value) => g.op(reduce, [value], { keepdims: 0n }))
    return g.op('Reshape', [each.length === 1 ? (each[0] as Value) : g.op(join, each), ints(g, 1)])
  }
  return g.op('Concat', [end('ReduceMin', 'Min'), end('ReduceMax', 'Max')], { axis: 0n })
}

/**
 * The scale of each output channel, which broadcasts to the weights: the quantizer's `weightScales` in a graph. Weights
 * that are summed one after the other, in either order in which engines sum, stay small enough not to saturate 16 bits.
 */
export function weightScale(g: GraphBuilder, weight: Value, axis: RoundedWeight['axis'], bits: number): Value {
  const levels = 2 ** (bits - 1) - 1
  const sizes = weight.shape.map(Number)
  const [channels = 1, inputs = 1] = axis === 0 ? sizes : [sizes[1], sizes[0]]
  const inner = sizes.reduce((product, size) => product * size, 1) / channels
  const kernel = axis === 0 ? inner / inputs : 1
  const rows =
    axis === 0 ? g.op('Reshape', [weight, ints(g, channels, inner)]) : g.op('Transpose', [weight], { perm: [1n, 0n] })
  const orders = [rows]
  if (inputs > 1 && kernel > 1) {
    const apart = g.op('Reshape', [weight, ints(g, channels, inputs, kernel)])
    const turned = g.op('Transpose', [apart], { perm: [0n, 2n, 1n] })
    orders.push(g.op('Reshape', [turned, ints(g, channels, inner)]))
  }
  const largest = (value: Value): Value => g.op('ReduceMax', [g.op('Abs', [value])], { axes: [1n], keepdims: 1n })
  const peak = largest(rows)
  const shares = (value: Value, parts: number): Value => g.op('Div', [value, number(g, parts)])
  const pairs = levels <= ALWAYS || inner === 1 ? [] : orders.map((order) => largest(neighbours(g, order, inner)))
  const fine = shares(pairs.length === 0 ? peak : g.op('Max', [peak, ...pairs]), levels)
  const safe = levels <= ALWAYS ? fine : g.op('Min', [fine, shares(peak, ALWAYS)])
  const scale = g.op('Max', [safe, number(g, MIN_SCALE)])
  const shape = sizes.map((_, at) => (at === axis ? channels : 1))
  return g.op('Reshape', [scale, ints(g, ...shape)])
}

/** Each two that stand beside each other in rows of `inner`, added: of opposite signs that is less than the larger one. */
function neighbours(g: GraphBuilder, rows: Value, inner: number): Value {
  const part = (from: number, to: number): Value => g.op('Slice', [rows, ints(g, from), ints(g, to), ints(g, 1)])
  return g.op('Add', [part(0, inner - 1), part(1, inner)])
}
