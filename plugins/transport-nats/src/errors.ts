import { defineErrors, entry } from '@tideway/core'

/** Errors of the NATS transport; an address never holds its credentials. */
export const { entries, errors } = defineErrors({
  JETSTREAM_UNAVAILABLE: entry<{ url: string }>(
    503,
    (d) => `the NATS server at ${d.url} has no JetStream for this account`,
    'Start nats-server with -js, or enable JetStream for the account.',
  ),
  NATS_STREAM_UNUSABLE: entry<{ stream: string; reason: string }>(
    500,
    (d) => `stream ${d.stream} cannot be used: ${d.reason}`,
    'Correct or delete the stream, or give the server more storage; the cloud creates it again.',
  ),
  REPORT_STREAM_FULL: entry<{ stream: string }>(
    507,
    (d) => `stream ${d.stream} has no room for a report`,
    'Start a cloud process to take reports, or raise its max_bytes; the device keeps the report.',
  ),
  JOB_LOST: entry<{ job: string }>(
    409,
    (d) => `job ${d.job} may have gone to another worker: this one could not renew its claim`,
    'Check the connection to NATS; the other worker goes on from the last checkpoint.',
  ),
})
