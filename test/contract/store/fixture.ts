import { createHash, randomBytes } from 'node:crypto'
import type { Envelope } from '@tideway/core'

/**
 * Hands a suite the facet under test; called within tests only. A suite makes names of its own, so one store may serve
 * all suites, and may hold other things already.
 */
export type Subject<Facet> = () => Facet

/** An id that no other test uses. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A digest that no other test uses. */
export function uniqueDigest(): string {
  return sha256Of(randomBytes(16))
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const NOON = '2026-03-01T12:00:00.000Z'

/** A time so many milliseconds after noon. */
export function after(ms: number): string {
  return new Date(Date.parse(NOON) + ms).toISOString()
}

/** A valid report; `device`, `boot` and `seq` are its key. */
export function envelopeOf(
  key: Pick<Envelope, 'device' | 'boot' | 'seq'> &
    Partial<Pick<Envelope, 'fleet' | 'kind' | 'manifestDigest' | 'body'>>,
): Envelope {
  return {
    v: 1,
    kind: 'profile',
    fleet: 'contract-fleet',
    schema: 1,
    from: NOON,
    to: after(60_000),
    sentAt: after(60_500),
    body: { rows: key.seq },
    ...key,
  }
}
