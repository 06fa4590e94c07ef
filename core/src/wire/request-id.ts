/** Long enough for UUIDs, trace ids and the ids of proxies; nothing that could break a line of a log or a header. */
const ACCEPTED = /^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$/

/** Of this process: a random number for each request would take as long as a small model. */
const prefix = globalThis.crypto.randomUUID()
let requests = 0

/**
 * The client's own id of its request (the header or metadata `X-Request-Id`) where it is one, else a new one: which no other
 * request has, but which can be guessed.
 */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && ACCEPTED.test(given) ? given : `${prefix}-${++requests}`
}
