import { defineErrors, entry } from '@tideway/core/runtime'

/** What this runtime can say beside the codes that all runtimes share (`MODEL_INVALID`, `PROVIDER_UNAVAILABLE`, …). */
export const { entries, errors } = defineErrors({
  THREADS_UNAVAILABLE: entry<{ threads: number; available: number; reason: string }>(
    409,
    (d) => `a model was to run on ${d.threads} threads, and can on ${d.available}: ${d.reason}`,
    'Ask for so many, or leave intraOpThreads out. Threads in a page need the headers `Cross-Origin-Opener-Policy: ' +
      'same-origin` and `Cross-Origin-Embedder-Policy: require-corp` on it; all models share those of the first one.',
  ),
  MODEL_FETCH_FAILED: entry<{ url: string; status?: number; reason: string }>(
    502,
    (d) => `the model could not be fetched from ${d.url}: ${d.reason}`,
    'Check the address, what its server says, and (for another origin) that it allows this one.',
  ),
})
