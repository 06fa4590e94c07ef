import { errors, type Fallback } from '@tideway/core'
import type { OnnxTrainerOptions } from '../trainer.js'
import { AUTO, CPU, PROVIDERS } from './provider.js'

/** The names that a provider may be asked for by. */
const NAMES = [CPU, ...PROVIDERS, ...PROVIDERS.map((name) => `${name}+${CPU}`), AUTO]

/**
 * A trainer's options for a list of providers, of which the first that can train a job is taken; one alone is taken or the
 * job fails. Throws `INPUT_REJECTED` naming every name that is none.
 *
 * @example
 * const trainer = createOnnxTrainer(inOrder(['webgpu', 'cpu'], ({ from, error }) => console.warn(from, error.message)))
 */
export function inOrder(
  providers: readonly string[],
  onFallback: (step: Fallback) => void,
): Pick<OnnxTrainerOptions, 'provider' | 'fallback'> {
  const issues = providers.flatMap((name, at) => {
    if (!NAMES.includes(name)) return [`providers.${at}: ${name} is none of ${NAMES.join(', ')}`]
    return name === AUTO && providers.length > 1 ? [`providers.${at}: ${AUTO} stands alone`] : []
  })
  if (providers.length === 0) issues.push('providers: is empty')
  if (issues.length > 0) throw errors.INPUT_REJECTED({ what: 'the order of providers', issues })
  const [provider = CPU, ...to] = providers
  return provider === AUTO || to.length > 0 ? { provider, fallback: { to, onFallback } } : { provider }
}
