import type { ResolvedLoss } from '@tideway/core'
import type { GraphBuilder } from '../../build/graph-builder.js'
import type { Value } from '../../build/value.js'
import { huber, meanAbsoluteError, meanSquaredError } from './regression.js'
import { sigmoidCrossEntropy } from './sigmoid.js'
import { softmaxCrossEntropy } from './softmax.js'
import { triplet } from './triplet.js'

/** A loss as training sees it. */
export interface Loss {
  /** int32 class indices [batch], values of the output's shape, or the network's own inputs. */
  readonly targets: 'classes' | 'values' | 'inputs'
  /** Whether it takes the output, or the output before a last softmax or sigmoid. */
  readonly of: 'output' | 'logits'
  /** Adds the loss to a graph: a scalar, the mean over the batch. Throws `GRAPH_INVALID` for shapes that do not fit. */
  add(g: GraphBuilder, prediction: Value, targets: Value): Value
}

type Rules = {
  readonly [T in ResolvedLoss['type']]: (loss: Extract<ResolvedLoss, { readonly type: T }>) => Loss
}

const rules: Rules = {
  softmaxCrossEntropy: (loss) => ({
    targets: 'classes',
    of: 'logits',
    add: (g, logits, classes) => softmaxCrossEntropy(g, logits, classes, loss),
  }),
  sigmoidCrossEntropy: (loss) => ({
    targets: 'values',
    of: 'logits',
    add: (g, logits, targets) => sigmoidCrossEntropy(g, logits, targets, loss),
  }),
  meanSquaredError: () => ({ targets: 'values', of: 'output', add: meanSquaredError }),
  meanAbsoluteError: () => ({ targets: 'values', of: 'output', add: meanAbsoluteError }),
  huber: ({ delta }) => ({
    targets: 'values',
    of: 'output',
    add: (g, output, targets) => huber(g, output, targets, delta),
  }),
  triplet: ({ margin }) => ({
    targets: 'classes',
    of: 'output',
    add: (g, output, classes) => triplet(g, output, classes, margin),
  }),
  reconstruction: ({ by }) =>
    by === 'sigmoidCrossEntropy'
      ? { targets: 'inputs', of: 'logits', add: sigmoidCrossEntropy }
      : { targets: 'inputs', of: 'output', add: meanSquaredError },
}

/**
 * A loss by its config.
 *
 * @example
 * const loss = lossOf(resolveLoss({ type: 'huber', delta: 2 }))
 * g.output('loss', loss.add(g, forward[loss.of], targets))
 */
export const lossOf = (loss: ResolvedLoss): Loss => (rules[loss.type] as (loss: ResolvedLoss) => Loss)(loss)
