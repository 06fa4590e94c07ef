import { errors as core } from '@tideway/core/serving'
import type { Header } from '../http/aligned.js'

/** As long as a unit of an A/B test may be. */
const MAX_KEY_CHARACTERS = 256

/** The key of a request; see `InferContext.stickyKey`. Throws `INPUT_REJECTED` for one that is too long. */
export function stickyKeyIn(header: Header, name: string): string | undefined {
  const key = header(name)
  if (key === undefined || key.length <= MAX_KEY_CHARACTERS) return key || undefined
  const issues = [`header ${name}: has ${key.length} characters, at most ${MAX_KEY_CHARACTERS} are taken`]
  throw core.INPUT_REJECTED({ what: 'the inference request', issues })
}

/** Headers of its answer, each name and behind it its value: which version it was that answered, and under an A/B test by which its outcome is reported. */
export function toldOf(version: string, unit: string | undefined): string[] {
  if (unit === undefined) return ['X-Tideway-Version', version]
  return ['X-Tideway-Version', version, 'X-Tideway-Unit', unit]
}
