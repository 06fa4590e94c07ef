import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CloudLink, createHost, type Envelope, type Monitor, silentLogger, tokens } from '@tideway/core'
import { openStore, type Store } from '@tideway/store-postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { intake } from './intake.js'

let dir: string
let store: Store
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-intake-'))
  store = await openStore({ dir })
})
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true })
})

const now = '2026-01-01T00:00:00.000Z'
const report = (device: string, seq: number, kind: string, body: Envelope['body']): Envelope => ({
  v: 1,
  kind,
  device,
  fleet: 'plant',
  boot: 'b1',
  seq,
  schema: 1,
  from: now,
  to: now,
  sentAt: now,
  body,
})
const state = (device: string, at: string) => ({ v: 1, device, fleet: 'plant', generation: 1, models: {}, at })

it('lets no report hide another, and no device speak for another', async () => {
  const observed: Envelope[] = []
  const monitor: Monitor = {
    observe: async (reports) => void observed.push(...reports),
    verdicts: async () => [],
    onAlert: () => undefined,
  }
  const host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  host.provide(tokens.reportStore, () => store.reportStore)
  host.provide(tokens.deviceStore, () => store.deviceStore)
  host.provide(tokens.monitor, () => monitor)
  host.provide(tokens.cloudLink, () => ({}) as CloudLink)
  host.use(intake())
  const batch = [
    report('good', 1, 'state', state('good', now)),
    report('bad', 1, 'state', { nonsense: true }),
    report('liar', 1, 'state', state('good', '9999-01-01T00:00:00.000Z')),
    report('fast', 1, 'state', state('fast', '9999-01-01T00:00:00.000Z')),
    report('good', 2, 'profile', {}),
  ]
  const { acks } = await host.get(tokens.intake).accept(batch, now)
  expect(acks.map(({ device, ack }) => `${device} ${ack.seq}`).sort()).toEqual(['bad 1', 'fast 1', 'good 2', 'liar 1'])
  expect(observed).toHaveLength(batch.length)
  expect((await store.deviceStore.device('good')).reported?.at).toBe(now)
  expect((await store.deviceStore.device('fast')).reported?.at).toBe(now)
  expect((await store.deviceStore.device('liar')).reported).toBeUndefined()
})
