import { parentPort, workerData } from 'node:worker_threads'
import type { ClaimTask } from './claim.js'
import { openNats } from './connection.js'

/** A worker thread's program: renews the claim that it is told to hold, until ended. */
const { address, everyMs, maxBlockedMs, clock } = workerData as ClaimTask
const connection = await openNats(address, { name: 'tideway-claims', maxBackoffMs: everyMs })
let held: string | undefined

async function renew(): Promise<void> {
  const reply = held
  if (reply === undefined || Date.now() - Number(Atomics.load(clock, 1)) > maxBlockedMs) return
  const sentAt = Date.now()
  // JetStream's word for work in progress: the time to acknowledge begins anew.
  connection.publish(reply, '+WPI')
  await connection.flush()
  if (held === reply) Atomics.store(clock, 0, BigInt(sentAt))
}

// What fails is made good by the next one: the connection comes back by itself.
const attempt = (): void => void renew().catch(() => undefined)

// Not at once: to a job that fails meanwhile this would come after the word of that, and undo it: the server would take the job
// for one that is worked on until its claim has ended. A claim that is new lasts for longer than until the next turn.
parentPort?.on('message', ({ reply }: { readonly reply?: string }) => {
  held = reply
})
setInterval(attempt, everyMs)
parentPort?.postMessage('ready')
