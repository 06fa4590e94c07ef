import type { ResolvedLayer, Shape } from '@tideway/core'

/** An initialiser with its arguments, as the schema gives it. */
export type Initializer = ResolvedLayer<'dense'>['kernelInitializer']

type Rules = {
  readonly [Type in Initializer['type']]: (
    initializer: Extract<Initializer, { type: Type }>,
    shape: Shape,
    random: () => number,
  ) => Float32Array
}

const count = (shape: Shape): number => shape.reduce((product, size) => product * size, 1)

/** A loop: `Float32Array.from` makes an object of every number. */
function fill(shape: Shape, value: () => number): Float32Array {
  const out = new Float32Array(count(shape))
  for (let at = 0; at < out.length; at++) out[at] = value()
  return out
}

/** Keras's fans: of a convolution's kernel [...window, in, out] the window counts for both. */
export function fansOf(shape: Shape): { readonly fanIn: number; readonly fanOut: number } {
  if (shape.length < 2) return { fanIn: shape[0] ?? 1, fanOut: shape[0] ?? 1 }
  const window = count(shape.slice(0, -2))
  return { fanIn: window * (shape.at(-2) ?? 1), fanOut: window * (shape.at(-1) ?? 1) }
}

/** Box and Muller (1958): a normal number from two uniform ones; 1 - u is never 0. */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** A normal number drawn again beyond two deviations. */
function truncated(random: () => number): number {
  for (;;) {
    const value = normal(random)
    if (Math.abs(value) <= 2) return value
  }
}

/** What is left of a normal distribution's deviation when it is cut at two of them. */
const CUT_DEVIATION = 0.8796256610342398

type Scaling = Omit<Extract<Initializer, { type: 'varianceScaling' }>, 'type'>

/** Numbers of variance scale / fan (He et al. 2015, Glorot and Bengio 2010, LeCun et al. 1998). */
function scaled({ scale, mode, distribution }: Scaling, shape: Shape, random: () => number): Float32Array {
  const { fanIn, fanOut } = fansOf(shape)
  const fan = { fanIn, fanOut, fanAvg: (fanIn + fanOut) / 2 }[mode]
  const variance = scale / Math.max(fan, 1)
  if (distribution === 'uniform') {
    const limit = Math.sqrt(3 * variance)
    return fill(shape, () => (random() * 2 - 1) * limit)
  }
  const deviation = Math.sqrt(variance)
  if (distribution === 'untruncatedNormal') return fill(shape, () => normal(random) * deviation)
  return fill(shape, () => (truncated(random) * deviation) / CUT_DEVIATION)
}

const scaledBy =
  (scale: number, mode: Scaling['mode'], distribution: Scaling['distribution']) =>
  (_: unknown, shape: Shape, random: () => number) =>
    scaled({ scale, mode, distribution }, shape, random)

/**
 * Orthonormal rows or columns, whichever are fewer (Saxe et al. 2014), of a normal matrix by Gram and Schmidt, applied
 * twice so that float error does not add up (Giraud et al. 2005).
 */
function orthogonal(gain: number, shape: Shape, random: () => number): Float32Array {
  const columns = shape.at(-1) ?? 1
  const rows = count(shape) / columns
  const [vectors, length] = [Math.min(rows, columns), Math.max(rows, columns)]
  const basis: Float64Array[] = []
  for (let at = 0; at < vectors; at++) {
    const vector = Float64Array.from({ length }, () => normal(random))
    for (const other of [...basis, ...basis]) {
      let product = 0
      for (let i = 0; i < length; i++) product += (vector[i] as number) * (other[i] as number)
      for (let i = 0; i < length; i++) vector[i] = (vector[i] as number) - product * (other[i] as number)
    }
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
    basis.push(vector.map((value) => value / norm))
  }
  const out = new Float32Array(rows * columns)
  for (const [at, vector] of basis.entries())
    for (const [i, value] of vector.entries()) {
      const [row, column] = rows >= columns ? [i, at] : [at, i]
      out[row * columns + column] = value * gain
    }
  return out
}

function identity(gain: number, shape: Shape): Float32Array {
  const columns = shape.at(-1) ?? 1
  const out = new Float32Array(count(shape))
  for (let at = 0; at * columns + at < out.length && at < columns; at++) out[at * columns + at] = gain
  return out
}

/** Keras's initialisers (https://keras.io/api/layers/initializers/). */
const INITIALIZERS: Rules = {
  zeros: (_, shape) => new Float32Array(count(shape)),
  ones: (_, shape) => new Float32Array(count(shape)).fill(1),
  constant: ({ value }, shape) => new Float32Array(count(shape)).fill(value),
  // In the very form of random.ts, so that networks of earlier versions begin with the same bits.
  glorotUniform: (_, shape, random) => {
    const { fanIn, fanOut } = fansOf(shape)
    const limit = Math.sqrt(6 / (fanIn + fanOut))
    return fill(shape, () => (random() * 2 - 1) * limit)
  },
  glorotNormal: scaledBy(1, 'fanAvg', 'truncatedNormal'),
  heUniform: scaledBy(2, 'fanIn', 'uniform'),
  heNormal: scaledBy(2, 'fanIn', 'truncatedNormal'),
  lecunUniform: scaledBy(1, 'fanIn', 'uniform'),
  lecunNormal: scaledBy(1, 'fanIn', 'truncatedNormal'),
  randomNormal: ({ mean, stddev }, shape, random) => fill(shape, () => mean + stddev * normal(random)),
  truncatedNormal: ({ mean, stddev }, shape, random) => fill(shape, () => mean + stddev * truncated(random)),
  randomUniform: ({ minval, maxval }, shape, random) => fill(shape, () => minval + random() * (maxval - minval)),
  orthogonal: ({ gain }, shape, random) => orthogonal(gain, shape, random),
  identity: ({ gain }, shape) => identity(gain, shape),
  varianceScaling: scaled,
}

/** Values of a tensor in Keras's shape. `random` gives uniform numbers in [0, 1). */
export function initialize(initializer: Initializer, shape: Shape, random: () => number): Float32Array {
  const rule = INITIALIZERS[initializer.type] as (
    initializer: Initializer,
    shape: Shape,
    random: () => number,
  ) => Float32Array
  return rule(initializer, shape, random)
}
