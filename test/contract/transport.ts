import {
  type Ack,
  type CloudLink,
  type DesiredState,
  type EdgeLink,
  type Envelope,
  limits,
  type Presence,
  type ReportedState,
  subjects,
  toJsonBytes,
} from '@tideway/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/process.js'

export interface DeviceIdentity {
  readonly fleet: string
  readonly device: string
}

/** A server with both kinds of link to it; made once for the suite. */
export interface TransportSetup {
  openCloud(): Promise<CloudLink>
  openEdge(identity: DeviceIdentity): EdgeLink
  /** What the cloud's HTTP face answers from; a transport that carries everything itself does nothing here. */
  storeDesired(target: { fleet: string; device?: string }, desired: DesiredState): void
  storeChunk(sha256: string, bytes: Uint8Array): void
  /** Publishes bytes on a subject as that device; resolves also when the server refuses. */
  publishRaw(as: DeviceIdentity, subject: string, payload: Uint8Array): Promise<void>
  /** Takes the server away from every link, runs `meanwhile`, and brings it back. */
  interrupt(meanwhile?: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Fleets that the suite uses, for servers whose access rules name them. */
export const transportFleets = ['contract', 'contract-default'] as const

/** Devices that the suite uses, for servers whose access rules name them. */
export const transportDevices: readonly DeviceIdentity[] = transportFleets.flatMap((fleet) =>
  Array.from({ length: 40 }, (_, index) => ({ fleet, device: `device-${index + 1}` })),
)

const TITLES = {
  desiredNow: 'gives a device the desired state that was set before it came',
  desiredNone: 'gives nothing while nothing is set',
  desiredChange: 'gives every device of a fleet a changed default',
  desiredOwn: "gives a device its own desired state rather than its fleet's default",
  desiredNewest: 'ends at the newest of many desired states',
  desiredInterrupted: 'gives a device what was set while the server was away',
  chunk: 'carries a chunk of the largest size unaltered, put once or twice',
  chunkMissing: 'says CHUNK_NOT_FOUND for a chunk that is not there',
  chunkAborted: 'gives up a fetch when its signal has fired',
  ackAfterCommit: 'acknowledges a report only after the handler has resolved',
  rejected: 'delivers a batch again that the handler rejected',
  poison: 'delivers the other reports of a batch that one bad report spoils',
  many: 'delivers reports in batches, each of them acknowledged',
  malformed: 'drops and counts malformed reports, and goes on',
  impostor: 'drops and counts a report that names another device than its subject',
  foreignSubject: "refuses a report on another device's subject",
  largest: 'carries a report of the largest size and refuses a larger one',
  reported: 'carries reported state',
  presence: 'says who is there and who left',
  interrupted: 'carries reports again after the server was away, and calls onConnect',
  unsubscribed: 'calls no handler after its subscription ended',
  closed: 'refuses reports after it was closed, twice without harm',
} as const

export type TransportTest = keyof typeof TITLES

export interface TransportSubject {
  setup(): Promise<TransportSetup>
  /** Tests that this implementation cannot pass, each with its reason. */
  readonly exceptions?: Readonly<Partial<Record<TransportTest, string>>>
}

/** The suite that every transport runs: `CloudLink` and `EdgeLink` against each other through a real server. */
export function transportContract(name: string, subject: TransportSubject): void {
  const test = (id: TransportTest, body: () => Promise<void>) => {
    const exception = subject.exceptions?.[id]
    if (exception === undefined) it(TITLES[id], body)
    else it.skip(`${TITLES[id]} (not here: ${exception})`, body)
  }

  describe(`transport contract: ${name}`, () => {
    let setup: TransportSetup
    let devices = 0
    const open: { close(): Promise<void> }[] = []
    beforeAll(async () => {
      setup = await subject.setup()
    })
    afterEach(async () => {
      await Promise.all(open.splice(0).map((link) => link.close()))
    })
    afterAll(() => setup?.close())

    const newDevice = (fleet: string = transportFleets[0]): DeviceIdentity => {
      devices += 1
      return { fleet, device: `device-${devices}` }
    }
    const openEdge = (identity: DeviceIdentity): EdgeLink => {
      const link = setup.openEdge(identity)
      open.push(link)
      return link
    }
    const openCloud = async (): Promise<CloudLink> => {
      const link = await setup.openCloud()
      open.push(link)
      return link
    }
    const tell = async (cloud: CloudLink, target: { fleet: string; device?: string }, generation: number) => {
      const desired = desiredState(generation)
      setup.storeDesired(target, desired)
      await cloud.publishDesired(target, desired)
    }
    const connected = (link: EdgeLink) =>
      new Promise<void>((resolve) => {
        link.onConnect(resolve)
      })
    const watch = async (link: EdgeLink): Promise<number[]> => {
      const generations: number[] = []
      await link.watchDesired((desired) => generations.push(desired.generation))
      return generations
    }
    const sends = async (link: EdgeLink, envelope: Envelope) =>
      eventually('the report is taken', () =>
        link.sendReport(envelope).then(
          () => true,
          () => false,
        ),
      )

    test('desiredNow', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      await tell(cloud, identity, 3)
      const generations = await watch(openEdge(identity))
      await eventually('generation 3', () => generations.includes(3))
      expect(new Set(generations)).toEqual(new Set([3]))
    })

    test('desiredNone', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const link = openEdge(identity)
      const up = connected(link)
      const generations = await watch(link)
      await up
      expect(generations).toEqual([])
      await tell(cloud, identity, 1)
      await eventually('generation 1', () => generations.includes(1))
    })

    test('desiredChange', async () => {
      const fleet = transportFleets[1]
      const cloud = await openCloud()
      const links = [newDevice(fleet), newDevice(fleet)].map(openEdge)
      await tell(cloud, { fleet }, 1)
      const seen = await Promise.all(links.map(watch))
      await eventually('generation 1 everywhere', () => seen.every((generations) => generations.includes(1)))
      await tell(cloud, { fleet }, 2)
      await eventually('generation 2 everywhere', () => seen.every((generations) => generations.at(-1) === 2))
    })

    test('desiredOwn', async () => {
      const identity = newDevice(transportFleets[1])
      const cloud = await openCloud()
      await tell(cloud, { fleet: identity.fleet }, 10)
      await tell(cloud, identity, 11)
      const generations = await watch(openEdge(identity))
      await eventually('its own', () => generations.includes(11))
      await tell(cloud, { fleet: identity.fleet }, 12)
      await tell(cloud, identity, 13)
      await eventually('its own again', () => generations.at(-1) === 13)
      expect(generations).not.toContain(12)
    })

    test('desiredNewest', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const generations = await watch(openEdge(identity))
      for (let generation = 1; generation <= 20; generation++) await tell(cloud, identity, generation)
      await eventually('generation 20', () => generations.at(-1) === 20)
      expect(generations).toEqual(generations.toSorted((a, b) => a - b))
    })

    test('desiredInterrupted', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const link = openEdge(identity)
      await tell(cloud, identity, 1)
      const generations = await watch(link)
      await eventually('generation 1', () => generations.includes(1))
      await setup.interrupt(async () => setup.storeDesired(identity, desiredState(2)))
      await eventually('the cloud is back', () => cloud.stats().connected)
      await cloud.publishDesired(identity, desiredState(2))
      await eventually('generation 2', () => generations.at(-1) === 2)
    })

    test('chunk', async () => {
      const cloud = await openCloud()
      const bytes = Uint8Array.from({ length: limits.maxChunkBytes }, (_, index) => (index * 31) % 251)
      const sha256 = await sha256Of(bytes)
      setup.storeChunk(sha256, bytes)
      await cloud.putChunk(sha256, bytes)
      await cloud.putChunk(sha256, bytes)
      const link = openEdge(newDevice())
      // A time-out that was measured is not a whole number.
      const options = { timeoutMs: 20_000.5 }
      const fetched = await eventually('the chunk', () => link.fetchChunk(sha256, options).catch(() => undefined))
      expect(Buffer.from(fetched).equals(Buffer.from(bytes))).toBe(true)
    })

    test('chunkMissing', async () => {
      await openCloud()
      const link = openEdge(newDevice())
      const up = connected(link)
      await up
      await expect(link.fetchChunk('0'.repeat(64))).rejects.toMatchObject({ code: 'CHUNK_NOT_FOUND' })
    })

    test('chunkAborted', async () => {
      await openCloud()
      const link = openEdge(newDevice())
      await connected(link)
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await expect(link.fetchChunk('0'.repeat(64), { signal })).rejects.toBe(reason)
    })

    test('ackAfterCommit', async () => {
      const [identity, cloud, commit] = [newDevice(), await openCloud(), gate()]
      const store = storeOf(identity)
      await cloud.consumeReports(async (batch) => {
        await commit.opened
        return store.append(batch)
      })
      const link = openEdge(identity)
      const acks: Ack[] = []
      await link.watchAcks((ack) => acks.push(ack))
      await sends(link, report(identity, 1))
      await eventually('it came', () => cloud.stats().reportsReceived > 0)
      expect(acks).toEqual([])
      commit.open()
      await eventually('it is acknowledged', () => acks.some((ack) => ack.seq === 1 && ack.boot === 'boot'))
      expect(store.stored()).toEqual([1])
    })

    test('rejected', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const store = storeOf(identity)
      let failures = 0
      await cloud.consumeReports(async (batch) => {
        if (store.of(batch).length > 0 && failures < 2) {
          failures += 1
          throw new Error('the store is away')
        }
        return store.append(batch)
      })
      const link = openEdge(identity)
      const acks: Ack[] = []
      await link.watchAcks((ack) => acks.push(ack))
      await sends(link, report(identity, 1))
      await eventually('it is acknowledged at last', () => acks.some((ack) => ack.seq === 1))
      expect(failures).toBe(2)
    })

    test('poison', async () => {
      const [identity, cloud, started] = [newDevice(), await openCloud(), gate()]
      const store = storeOf(identity)
      await cloud.consumeReports(async (batch) => {
        await started.opened
        if (store.of(batch).some((envelope) => envelope.seq === 2)) throw new Error('cannot be stored')
        return store.append(batch)
      })
      const link = openEdge(identity)
      for (const seq of [1, 2, 3]) await sends(link, report(identity, seq))
      started.open()
      await eventually('the good ones', () => store.stored().includes(1) && store.stored().includes(3))
      expect(store.stored()).not.toContain(2)
    })

    test('many', async () => {
      const [identity, cloud, sent] = [newDevice(), await openCloud(), gate()]
      const store = storeOf(identity)
      const sizes: number[] = []
      await cloud.consumeReports(async (batch, receivedAt) => {
        expect(new Date(receivedAt).toISOString()).toBe(receivedAt)
        sizes.push(batch.length)
        await sent.opened
        return store.append(batch)
      })
      const link = openEdge(identity)
      let acked = 0
      await link.watchAcks((ack) => {
        acked = Math.max(acked, ack.seq)
      })
      await sends(link, report(identity, 1))
      for (let from = 2; from <= 501; from += 50)
        await Promise.all(Array.from({ length: 50 }, (_, index) => link.sendReport(report(identity, from + index))))
      sent.open()
      await eventually('all are acknowledged', () => acked === 501)
      expect(store.stored()).toHaveLength(501)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.maxReportsPerRequest)
      expect(Math.max(...sizes)).toBeGreaterThan(1)
    })

    test('malformed', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const store = storeOf(identity)
      await cloud.consumeReports(async (batch) => store.append(batch))
      const subject = subjects.report(identity.fleet, identity.device)
      const bad = [Buffer.from('{"v":'), Buffer.from([0xff, 0xfe]), Buffer.from('{}'), Buffer.from('[]')]
      for (const payload of bad) await setup.publishRaw(identity, subject, payload)
      await setup.publishRaw(identity, subject, toJsonBytes({ ...report(identity, 1), seq: -1 }))
      await eventually('they are counted', () => {
        const { JSON_INVALID = 0, INPUT_REJECTED = 0 } = cloud.stats().reportsDropped
        return JSON_INVALID >= 2 && INPUT_REJECTED >= 3
      })
      await sends(openEdge(identity), { ...report(identity, 2), extra: 'kept' } as Envelope)
      await eventually('a good one comes', () => store.stored().includes(2))
      expect(store.stored()).toEqual([2])
    })

    test('impostor', async () => {
      const [identity, victim, cloud] = [newDevice(), newDevice(), await openCloud()]
      const [own, stolen] = [storeOf(identity), storeOf(victim)]
      await cloud.consumeReports(async (batch) => [...own.append(batch), ...stolen.append(batch)])
      const subject = subjects.report(identity.fleet, identity.device)
      await setup.publishRaw(identity, subject, toJsonBytes(report(victim, 1)))
      await eventually('it is counted', () => cloud.stats().reportsDropped.REPORT_IDENTITY_MISMATCH)
      await sends(openEdge(identity), report(identity, 1))
      await eventually('its own comes', () => own.stored().includes(1))
      expect(stolen.stored()).toEqual([])
    })

    test('foreignSubject', async () => {
      const [identity, victim, cloud] = [newDevice(), newDevice(), await openCloud()]
      const [own, stolen] = [storeOf(identity), storeOf(victim)]
      await cloud.consumeReports(async (batch) => [...own.append(batch), ...stolen.append(batch)])
      await setup.publishRaw(identity, subjects.report(victim.fleet, victim.device), toJsonBytes(report(victim, 1)))
      await setup.publishRaw(identity, subjects.desiredDefault(identity.fleet), toJsonBytes(desiredState(9999)))
      await sends(openEdge(identity), report(identity, 1))
      await eventually('its own comes', () => own.stored().includes(1))
      expect(stolen.stored()).toEqual([])
    })

    test('largest', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const store = storeOf(identity)
      await cloud.consumeReports(async (batch) => store.append(batch))
      const link = openEdge(identity)
      const empty = toJsonBytes({ ...report(identity, 1), body: { text: '' } }).byteLength
      const text = 'x'.repeat(limits.maxReportBytes - empty)
      await sends(link, { ...report(identity, 1), body: { text } })
      await eventually('it came', () => store.stored().includes(1))
      await expect(link.sendReport({ ...report(identity, 2), body: { text: `${text}x` } })).rejects.toMatchObject({
        code: 'TOO_LARGE',
      })
      await sends(link, report(identity, 3))
      await eventually('the link still works', () => store.stored().includes(3))
    })

    test('reported', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const seen: ReportedState[] = []
      await cloud.watchReported((state) => seen.push(state))
      const subject = subjects.reported(identity.fleet, identity.device)
      await setup.publishRaw(identity, subject, toJsonBytes({ v: 1 }))
      // Set before there is a connection: it is sent when there is one.
      const link = openEdge(identity)
      await link.setReported(reportedState(identity, 1))
      await eventually('generation 1', () => mine(seen, identity).some((state) => state.generation === 1))
      await link.setReported(reportedState(identity, 2))
      await eventually('generation 2', () => mine(seen, identity).at(-1)?.generation === 2)
    })

    test('presence', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const seen: Presence[] = []
      await cloud.watchPresence((who, presence) => {
        if (who.device === identity.device && who.fleet === identity.fleet) seen.push(presence)
      })
      const link = openEdge(identity)
      await eventually('it is there', () => seen.some((presence) => presence.online))
      await link.close()
      await eventually('it left', () => seen.at(-1)?.online === false)
    })

    test('interrupted', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const store = storeOf(identity)
      await cloud.consumeReports(async (batch) => store.append(batch))
      const link = openEdge(identity)
      let connections = 0
      link.onConnect(() => {
        connections += 1
      })
      const acks: Ack[] = []
      await link.watchAcks((ack) => acks.push(ack))
      await sends(link, report(identity, 1))
      await eventually('the first is acknowledged', () => acks.length > 0)
      const before = connections
      await setup.interrupt()
      await eventually('connected again', () => connections > before && cloud.stats().connected)
      // As an outbox does: again until acknowledged.
      await eventually('the second is acknowledged', async () => {
        await link.sendReport(report(identity, 2)).catch(() => undefined)
        return acks.some((ack) => ack.seq === 2)
      })
      expect(store.stored()).toEqual([1, 2])
    })

    test('unsubscribed', async () => {
      const [identity, cloud] = [newDevice(), await openCloud()]
      const link = openEdge(identity)
      const [ended, going]: number[][] = [[], []]
      const off = await link.watchDesired((desired) => ended!.push(desired.generation))
      await link.watchDesired((desired) => going!.push(desired.generation))
      await tell(cloud, identity, 1)
      await eventually('both have it', () => ended!.includes(1) && going!.includes(1))
      await off()
      await tell(cloud, identity, 2)
      await eventually('one has it', () => going!.includes(2))
      expect(ended).not.toContain(2)
    })

    test('closed', async () => {
      const identity = newDevice()
      const cloud = await openCloud()
      const link = openEdge(identity)
      await connected(link)
      await link.close()
      await link.close()
      await expect(link.sendReport(report(identity, 1))).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' })
      await cloud.close()
      await cloud.close()
      expect(cloud.stats().connected).toBe(false)
    })
  })
}

function desiredState(generation: number): DesiredState {
  const manifestDigest = generation.toString(16).padStart(64, 'a')
  return { v: 1, generation, models: { digits: { version: generation, manifestDigest } }, issuedAt: now() }
}

function report({ fleet, device }: DeviceIdentity, seq: number): Envelope {
  const at = now()
  return {
    v: 1,
    kind: 'event',
    device,
    fleet,
    boot: 'boot',
    seq,
    schema: 1,
    from: at,
    to: at,
    sentAt: at,
    body: { seq },
  }
}

function reportedState({ fleet, device }: DeviceIdentity, generation: number): ReportedState {
  return { v: 1, device, fleet, generation, models: {}, at: now() }
}

function now(): string {
  return new Date().toISOString()
}

function mine<T extends DeviceIdentity>(all: readonly T[], { fleet, device }: DeviceIdentity): T[] {
  return all.filter((item) => item.fleet === fleet && item.device === device)
}

/** A report store of one device: each sequence once, and the highest contiguous one as the acknowledgement. */
function storeOf(identity: DeviceIdentity) {
  const seqs = new Set<number>()
  return {
    of: (batch: readonly Envelope[]) => mine(batch, identity),
    stored: () => [...seqs].toSorted((a, b) => a - b),
    append(batch: readonly Envelope[]): { fleet: string; device: string; ack: Ack }[] {
      for (const envelope of mine(batch, identity)) seqs.add(envelope.seq)
      let seq = 0
      while (seqs.has(seq + 1)) seq += 1
      return [{ ...identity, ack: { v: 1, boot: 'boot', seq } }]
    },
  }
}

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')
}
