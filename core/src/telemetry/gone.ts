import type { VersionRecord } from '../contracts/store.js'

/** The versions that are in memory, for those that do not know: none of the others is ever gone. */
export type VersionsInUse = () => readonly Pick<VersionRecord, 'model' | 'version'>[]

/** So many versions that are no longer in memory are still told of: whoever reads now and then has seen what they counted last. */
const MAX_GONE = 64

export interface CountedVersion {
  readonly model: string
  readonly version: string
  /** On any clock. */
  readonly usedAt: number
}

/**
 * Which versions are not to be told of any more: those that are not in memory, but for the 64 that were used last. Triton
 * forgets what it counted of a model as soon as that is unloaded, so that what it counted between the last reading and then is
 * never told.
 */
export function versionsToForget<T extends CountedVersion>(counted: Iterable<T>, inUse: VersionsInUse): readonly T[] {
  const used = new Set(inUse().map(({ model, version }) => `${model} ${version}`))
  // The newest first: of those that were used at the same time, too.
  const gone = [...counted].reverse().filter(({ model, version }) => !used.has(`${model} ${version}`))
  return gone.sort((a, b) => b.usedAt - a.usedAt).slice(MAX_GONE)
}
