import type { Rules } from './rule.js'
import { activationRules } from './rules-activation.js'
import { convRules } from './rules-conv.js'
import { einsumRules } from './rules-einsum.js'
import { elementwiseRules } from './rules-elementwise.js'
import { indexRules } from './rules-index.js'
import { layoutRules } from './rules-layout.js'
import { lossRules } from './rules-loss.js'
import { normRules } from './rules-norm.js'
import { poolRules } from './rules-pool.js'
import { productRules } from './rules-product.js'
import { quantizeRules } from './rules-quantize.js'
import { recurrentRules } from './rules-recurrent.js'
import { reduceRules } from './rules-reduce.js'
import { resizeRules } from './rules-resize.js'

/**
 * Reverse-mode derivatives, one rule per operator: from the gradient by its output to those by its inputs.
 * Where the slope jumps, the convention is PyTorch's or tfjs's and said beside the rule: 0 for Relu and Abs at 0, the
 * lower side's for Elu, LeakyRelu and PRelu at 0, passed on by Clip at its bounds, the first of the largest for Max and
 * Min, shared evenly for ReduceMax and ReduceMin. Rules are checked against finite differences in rules.test.ts and
 * properties.test.ts, and against tfjs in tfjs.test.ts.
 * To differentiate another operator, add its rule to the group beside that it belongs to, and its cases to the tests.
 */
export const GRADIENTS: Rules = {
  ...activationRules,
  ...einsumRules,
  ...convRules,
  ...elementwiseRules,
  ...indexRules,
  ...layoutRules,
  ...lossRules,
  ...normRules,
  ...poolRules,
  ...productRules,
  ...quantizeRules,
  ...recurrentRules,
  ...reduceRules,
  ...resizeRules,
}
