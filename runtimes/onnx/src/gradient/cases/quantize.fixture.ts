import { FAKE_QUANTIZE } from '../../build/fake-quantize.js'
import type { GraphBuilder } from '../../build/graph-builder.js'
import { LEARNED_QUANTIZE } from '../../build/learned-quantize.js'
import { floats, type Value } from '../../build/value.js'
import type { Cases } from './common.fixture.js'

/** Not near the ends of the ranges below, where the slope jumps. */
const offEnds = (value: number): number => {
  const wide = value * 3
  return [-0.6, 1.5].some((end) => Math.abs(wide - end) < 0.01) ? 0.2 : wide
}

const number = (g: GraphBuilder, like: Value | undefined, value: number): Value =>
  g.constant(floats(like?.dtype ?? 'float32', [value]))

const LEVELS = 3
/** Positive scales, 0.3 to 0.7; x not where rounding jumps for some of them, which differences would see. */
const scaleOrX = (value: number, input: number): number => (input === 1 ? 0.5 + value / 5 : value * 3)

const learned = (g: GraphBuilder, [x, scale]: readonly Value[]): Value =>
  g.op(LEARNED_QUANTIZE, [x, scale], { levels: BigInt(LEVELS) })

const held = (g: GraphBuilder, [x, scale]: readonly Value[]): Value => {
  const steps = g.op('Div', [x, scale])
  return g.op('Clip', [steps, ...[-LEVELS, LEVELS].map((value) => number(g, x, value))])
}

/**
 * What the slope by the scale is that of (Esser et al. 2020, equation 3): the rounded steps times the scale, whose own slope
 * are the rounded steps, less x ln(scale) between the ends, whose own is x / scale.
 */
const byScale = (g: GraphBuilder, inputs: readonly Value[]): Value => {
  const [x, scale] = inputs as readonly [Value, Value]
  const inside = held(g, inputs)
  const isInside = g.op('Equal', [inside, g.op('Div', [x, scale])])
  const moved = g.op('Mul', [x, g.op('Log', [scale])])
  const less = g.op('Where', [isInside, moved, number(g, x, 0)])
  return g.op('Sub', [g.op('Mul', [g.op('Round', [inside]), scale]), less])
}

/**
 * What rounding is on average is the identity, so that differences are taken of what is left without it: the ends of the
 * range alone. Rounded away they would be 0 nearly everywhere.
 */
export const quantizeCases: Cases = {
  [FAKE_QUANTIZE]: [
    {
      shapes: [[3, 4]],
      domain: offEnds,
      build: (g, [x]) => g.op(FAKE_QUANTIZE, [x, ...[0.25, -0.6, 1.5].map((value) => number(g, x, value))]),
      reference: (g, [x]) => g.op('Clip', [x, ...[-0.6, 1.5].map((value) => number(g, x, value))]),
    },
    {
      shapes: [[2, 3]],
      build: (g, [x]) => g.op(FAKE_QUANTIZE, [x, g.constant(floats(x?.dtype ?? 'float32', [0.1, 0.5, 2], [3]))]),
      reference: (g, [x]) => g.op('Identity', [x as Value]),
    },
  ],
  [LEARNED_QUANTIZE]: [[], [4], [3, 1]].flatMap((shape) => [
    {
      shapes: [[3, 4], shape],
      domain: scaleOrX,
      by: [0],
      build: learned,
      reference: (g: GraphBuilder, inputs: readonly Value[]) => g.op('Mul', [held(g, inputs), inputs[1]]),
    },
    { shapes: [[3, 4], shape], domain: scaleOrX, by: [1], build: learned, reference: byScale },
  ]),
}
