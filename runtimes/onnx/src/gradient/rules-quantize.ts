import { FAKE_QUANTIZE } from '../build/fake-quantize.js'
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

/** Numbers made coarse. */
export const quantizeRules: Rules = { [FAKE_QUANTIZE]: fakeQuantize }
