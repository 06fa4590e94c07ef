// Appends reports and chunks without end, and says on stdout what the store has acknowledged; started by crash.test.ts.
import { createHash, randomBytes } from 'node:crypto'
import { openStore } from '../dist/index.js'

const [dir, boot] = process.argv.slice(2)
const store = await openStore({ dir })
const at = '2026-03-01T12:00:00.000Z'
const common = {
  v: 1,
  kind: 'profile',
  device: 'writer',
  fleet: 'crash',
  boot,
  schema: 1,
  from: at,
  to: at,
  sentAt: at,
}

async function appendReports() {
  for (let seq = 1; ; seq += 2) {
    const pair = [seq, seq + 1].map((own) => ({ ...common, seq: own, body: { text: 'x'.repeat(own % 3000) } }))
    const { acks } = await store.reportStore.append(pair, at)
    for (let told = seq; told <= acks[0].ack.seq; told++) console.log(`acknowledged ${told}`)
  }
}

async function putChunks() {
  for (;;) {
    const bytes = randomBytes(1000)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    await store.chunkStore.put(sha256, bytes)
    await store.chunkStore.putBlob({ sha256, size: 1000, chunks: [{ sha256, size: 1000 }] })
    console.log(`chunk ${sha256}`)
  }
}

await Promise.all([appendReports(), putChunks()])
