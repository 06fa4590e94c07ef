import type { OptimizerConfig } from '@tideway/core'
import type { OptimizerStep } from '@tideway/onnx'

/** A job's optimizer with Keras's defaults. */
export function optimizerOf(config: OptimizerConfig): OptimizerStep {
  if (config.type === 'sgd') return { type: 'sgd', momentum: config.momentum ?? 0 }
  return { type: 'adam', beta1: config.beta1 ?? 0.9, beta2: config.beta2 ?? 0.999, epsilon: config.epsilon ?? 1e-7 }
}
