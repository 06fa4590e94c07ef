/** Resolves after `ms`, or at once when the signal fires. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

/** A whole number of milliseconds from 80% to 120% of `ms`, so that devices which started together do not ask together. */
export function jittered(ms: number): number {
  return Math.round(ms * (0.8 + 0.4 * Math.random()))
}

/** 200 ms, doubling with each failure up to `maxMs`, with jitter. */
export function backoffMs(failures: number, maxMs: number): number {
  return jittered(Math.min(maxMs, 200 * 2 ** Math.min(failures, 20)))
}

/** Rejects with what `late` makes if the promise takes longer than `ms`. */
export async function within<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Reads again on demand and on a schedule, one read at a time: an answer can never overtake a newer one. */
export interface Rereader {
  /** Reads now, or once more after the read in flight. */
  trigger(): void
  /** Resolves when no read runs any more. */
  stop(): Promise<void>
}

/** `everyMs` is asked after each read; the wait is jittered. `read` must not reject. */
export function startRereader(read: (signal: AbortSignal) => Promise<void>, everyMs: () => number): Rereader {
  const stopping = new AbortController()
  let wake = new AbortController()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = new AbortController()
      await read(stopping.signal)
      await sleep(jittered(everyMs()), AbortSignal.any([wake.signal, stopping.signal]))
    }
  }
  const done = run()
  return {
    trigger: () => wake.abort(),
    stop() {
      stopping.abort()
      return done
    },
  }
}
