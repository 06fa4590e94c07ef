import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Until code is compiled, and tables have the size that they need. */
const FIRST_CALLS = 3_000
const CALLS = 8_000

/**
 * How many bytes a call leaves in V8's old generation, on average: what only the collection of all memory takes away, and
 * until then lets a process grow. Garbage of calls should die young: what is left is the noise of some ten bytes.
 */
export async function oldBytesPerCall(call: () => unknown): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < FIRST_CALLS; i++) await call()
  collect()
  const before = oldBytes()
  for (let i = 0; i < CALLS; i++) await call()
  return (oldBytes() - before) / CALLS
}

function oldBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? Number.NaN
}
