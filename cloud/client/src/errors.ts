import { defineErrors, entry } from '@tideway/core'

/** What the client itself says; every other code comes from the cloud, as it was thrown there. */
export const { entries, errors } = defineErrors({
  CLOUD_URL_INVALID: entry<{ url: string }>(
    400,
    (d) => `${JSON.stringify(d.url.slice(0, 200))} is not the address of a cloud`,
    'Use one like http://127.0.0.1:4400.',
  ),
  CLOUD_UNREACHABLE: entry<{ url: string }>(
    503,
    (d) => `no cloud answers at ${d.url}`,
    'Start one with `tideway up`, or give the address of a running one.',
  ),
  CLOUD_TIMEOUT: entry<{ url: string; timeoutMs: number }>(
    504,
    (d) => `the cloud at ${d.url} did not answer within ${d.timeoutMs} ms`,
    'Look at its log, or allow more time.',
  ),
  CLOUD_ANSWER_INVALID: entry<{ url: string; status: number }>(
    502,
    (d) => `what answers at ${d.url} (status ${d.status}) is not a Tideway cloud`,
    'Check the address, and whether a proxy answers in its place.',
  ),
})
