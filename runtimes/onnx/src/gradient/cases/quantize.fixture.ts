import { FAKE_QUANTIZE } from '../../build/fake-quantize.js'
import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, type Value } from '../../build/value.js'
import type { Cases } from './common.fixture.js'

/** Not near the ends of the ranges below, where the slope jumps. */
const offEnds = (value: number): number => {
  const wide = value * 3
  return [-0.6, 1.5].some((end) => Math.abs(wide - end) < 0.01) ? 0.2 : wide
}

const number = (g: GraphBuilder, like: Value | undefined, value: number): Value =>
  g.constant(floats(like?.dtype ?? 'float32', [value]))

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
}
