import type { OptimizerStep } from './step.js'

/** One number's state by the names of the published algorithm, zero at first. */
export type Numbers = Record<string, number>

/**
 * One step of the published algorithms on one number, in float64, as they are written: no sums in place of means, no
 * constants folded. Weight decay is Keras's: w - rate · decay · w before the step.
 */
export function referenceStep(
  step: OptimizerStep,
  t: number,
  rate: number,
  w: number,
  g: number,
  own: Numbers,
): number {
  const old = (name: string): number => own[name] ?? 0
  const from = 'weightDecay' in step ? w - rate * (step.weightDecay ?? 0) * w : w
  switch (step.type) {
    case 'sgd': {
      own['v'] = step.momentum * old('v') - rate * g
      return step.nesterov === true ? from + step.momentum * own['v'] - rate * g : from + own['v']
    }
    case 'adam':
    case 'adamw': {
      own['m'] = step.beta1 * old('m') + (1 - step.beta1) * g
      own['v'] = step.beta2 * old('v') + (1 - step.beta2) * g * g
      const [m, v] = [own['m'] / (1 - step.beta1 ** t), own['v'] / (1 - step.beta2 ** t)]
      return from - (rate * m) / (Math.sqrt(v) + step.epsilon)
    }
    case 'rmsprop': {
      own['v'] = step.rho * old('v') + (1 - step.rho) * g * g
      own['mean'] = step.rho * old('mean') + (1 - step.rho) * g
      const spread = step.centered ? own['v'] - own['mean'] ** 2 : own['v']
      own['move'] = step.momentum * old('move') + (rate * g) / Math.sqrt(spread + step.epsilon)
      return from - own['move']
    }
    case 'lion': {
      const direction = Math.sign(step.beta1 * old('m') + (1 - step.beta1) * g)
      own['m'] = step.beta2 * old('m') + (1 - step.beta2) * g
      return from - rate * direction
    }
  }
}

/** Clipped gradients of several parameters, in float64. */
export function referenceClip(by: string, limit: number, gradients: readonly (readonly number[])[]): number[][] {
  const norm = (values: readonly number[]): number => Math.hypot(...values)
  const total = norm(gradients.flat())
  return gradients.map((gradient) => {
    if (by === 'value') return gradient.map((value) => Math.min(limit, Math.max(-limit, value)))
    const length = by === 'globalNorm' ? total : norm(gradient)
    return gradient.map((value) => (length > limit ? (value * limit) / length : value))
  })
}
