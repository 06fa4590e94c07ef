import { setTimeout as wait } from 'node:timers/promises'

/** Exponential with jitter: between half and all of `base * 2^(attempt - 1)`, at most `max`. Attempts count from 1. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30))
  return full * (0.5 + Math.random() * 0.5)
}

/** Waits; rejects with the signal's reason when it fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
