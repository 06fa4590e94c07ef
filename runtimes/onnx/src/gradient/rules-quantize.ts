import { FAKE_QUANTIZE } from '../build/fake-quantize.js'
import { LEARNED_QUANTIZE } from '../build/learned-quantize.js'
import type { Value } from '../build/value.js'
import type { GradientRule } from './context.js'
import { choose, type Rules } from './rule.js'

/**
 * The straight-through estimator (Bengio, Léonard and Courville 2013, arXiv:1308.3432): rounding counts as the identity,
 * which is what it is on average, while the ends of the range cut off (Jacob et al. 2018, arXiv:1712.05877;
 * Krishnamoorthi 2018, arXiv:1806.08342, section 2.4). Passed on at the ends themselves, as by Clip. Scale and ends
 * follow from what was seen, not from gradients.
 */
const fakeQuantize: GradientRule = (c) => {
  if (!c.needs(0)) return []
  const [x, inside] = [c.in(0), c.node.outputs[1] as Value]
  return [inside.name === x.name ? c.dy : choose(c, c.op('Equal', [x, inside]), c.dy, 0)]
}

/**
 * Learned step size (Esser et al. 2020, arXiv:1902.08153, equations 3 and 5): by x the straight-through estimator; by the
 * scale, for each x, how far rounding moved it in steps, and beyond the levels the level itself.
 */
const learnedQuantize: GradientRule = (c) => {
  const [, steps, inside, integers] = c.node.outputs as readonly [Value, Value, Value, Value]
  const isInside = c.op('Equal', [steps, inside])
  const byScale = (): Value => c.op('Mul', [c.dy, c.op('Sub', [integers, choose(c, isInside, steps, 0)])])
  return [
    c.needs(0) ? choose(c, isInside, c.dy, 0) : undefined,
    c.needs(1) ? c.unbroadcast(byScale(), c.in(1)) : undefined,
  ]
}

/** Numbers made coarse. */
export const quantizeRules: Rules = { [FAKE_QUANTIZE]: fakeQuantize, [LEARNED_QUANTIZE]: learnedQuantize }
