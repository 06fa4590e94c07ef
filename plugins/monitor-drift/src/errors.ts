import { defineErrors, entry } from '@tideway/core'

export const { entries, errors } = defineErrors({
  BASELINE_UNUSABLE: entry<{ manifestDigest: string; reason: string }>(
    422,
    (d) => `the baseline of version ${d.manifestDigest} cannot be used: ${d.reason}`,
    'Publish the version again with a baseline made by its own profile schema.',
  ),
  PROFILE_INCONSISTENT: entry<{ reason: string }>(
    422,
    (d) => `a profile contradicts itself: ${d.reason}`,
    'Send profiles as a profile builder seals them.',
  ),
})
