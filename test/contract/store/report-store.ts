import type { Envelope, ReportStore } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { envelopeOf, NOON, randomFrom, type Subject, unique, uniqueDigest } from './fixture.js'

/** The suite that every `ReportStore` runs. */
export function reportStoreContract(name: string, reports: Subject<ReportStore>): void {
  const boot = () => ({ device: unique('device'), boot: unique('boot'), fleet: unique('fleet') })
  const series = (of: ReturnType<typeof boot>, seqs: readonly number[]) => seqs.map((seq) => envelopeOf({ ...of, seq }))
  const ackOf = (of: ReturnType<typeof boot>, seq: number) => ({
    fleet: of.fleet,
    device: of.device,
    ack: { v: 1, boot: of.boot, seq },
  })

  describe(`report store contract: ${name}`, () => {
    it('stores new envelopes and acknowledges the highest contiguous sequence', async () => {
      const of = boot()
      const envelopes = series(of, [1, 2, 3])
      expect(await reports().append(envelopes, NOON)).toEqual({ acks: [ackOf(of, 3)], fresh: envelopes })
      const stored = await reports().read({ device: of.device })
      expect(stored.map((report) => report.envelope)).toEqual(envelopes)
      expect(stored.map((report) => report.receivedAt)).toEqual([NOON, NOON, NOON])
    })

    it('acknowledges up to a gap, and over it once it is filled', async () => {
      const of = boot()
      expect((await reports().append(series(of, [2, 3, 5]), NOON)).acks).toEqual([ackOf(of, 0)])
      expect((await reports().append(series(of, [1]), NOON)).acks).toEqual([ackOf(of, 3)])
      expect((await reports().append(series(of, [7]), NOON)).acks).toEqual([ackOf(of, 3)])
      expect((await reports().append(series(of, [6, 4]), NOON)).acks).toEqual([ackOf(of, 7)])
    })

    it('counts a report once, however often it arrives, and acknowledges it each time', async () => {
      const of = boot()
      const [first, second, third] = series(of, [1, 2, 3]) as [Envelope, Envelope, Envelope]
      expect((await reports().append([first, first, second, first], NOON)).fresh).toEqual([first, second])
      const again = await reports().append([second, third, third], NOON)
      expect(again).toEqual({ acks: [ackOf(of, 3)], fresh: [third] })
      expect(await reports().append([first, second, third], NOON)).toEqual({ acks: [ackOf(of, 3)], fresh: [] })
      expect(await reports().counts({ device: of.device })).toEqual({ profile: 3 })
    })

    it('keeps what arrived first under a key', async () => {
      const of = boot()
      const first = envelopeOf({ ...of, seq: 1, body: { rows: 1 } })
      const second = envelopeOf({ ...of, seq: 1, body: { rows: 2 } })
      expect((await reports().append([first, second], NOON)).fresh).toEqual([first])
      expect((await reports().append([second], NOON)).fresh).toEqual([])
      expect((await reports().read({ device: of.device })).map((report) => report.envelope)).toEqual([first])
    })

    it('keeps devices and boots apart in one batch', async () => {
      const one = boot()
      const rebooted = { ...one, boot: unique('boot') }
      const other = { ...boot(), boot: one.boot }
      const batch = [...series(one, [1, 2]), ...series(rebooted, [1]), ...series(other, [1, 2, 3])]
      const { acks, fresh } = await reports().append(batch, NOON)
      expect(fresh).toHaveLength(6)
      expect(acks).toHaveLength(3)
      expect(acks).toEqual(expect.arrayContaining([ackOf(one, 2), ackOf(rebooted, 1), ackOf(other, 3)]))
    })

    it('takes nothing, and answers nothing to it', async () => {
      expect(await reports().append([], NOON)).toEqual({ acks: [], fresh: [] })
    })

    it('calls each report fresh exactly once under concurrent appends of the same', async () => {
      const of = boot()
      const random = randomFrom(7)
      const seqs = Array.from({ length: 40 }, (_, i) => i + 1)
      const batches = Array.from({ length: 16 }, () => seqs.filter(() => random() < 0.6).toSorted(() => random() - 0.5))
      const sent = new Set(batches.flat())
      const answers = await Promise.all(batches.map((batch) => reports().append(series(of, batch), NOON)))
      const fresh = answers.flatMap((answer) => answer.fresh.map((envelope) => envelope.seq))
      expect(fresh.toSorted((a, b) => a - b)).toEqual([...sent].toSorted((a, b) => a - b))
      const { acks } = await reports().append(series(of, [1]), NOON)
      expect(acks).toEqual([ackOf(of, contiguous(new Set([...sent, 1])))])
    })

    it('agrees with a set of sequences, over random batches', async () => {
      const random = randomFrom(11)
      const boots = [boot(), boot(), boot()]
      const model = boots.map(() => new Set<number>())
      for (let round = 0; round < 40; round++) {
        const picks = Array.from({ length: 1 + Math.floor(random() * 12) }, () => ({
          index: Math.floor(random() * boots.length),
          seq: 1 + Math.floor(random() * 60),
        }))
        const expected: string[] = []
        const batch = picks.map(({ index, seq }) => {
          const of = boots[index] as ReturnType<typeof boot>
          const known = model[index] as Set<number>
          if (!known.has(seq)) expected.push(`${of.boot} ${seq}`)
          known.add(seq)
          return envelopeOf({ ...of, seq })
        })
        const { acks, fresh } = await reports().append(batch, NOON)
        expect(fresh.map((envelope) => `${envelope.boot} ${envelope.seq}`)).toEqual(expected)
        const named = new Set(picks.map(({ index }) => index))
        expect(acks).toHaveLength(named.size)
        for (const index of named)
          expect(acks).toContainEqual(ackOf(boots[index] as never, contiguous(model[index] as Set<number>)))
      }
    })

    it('keeps unknown kinds, unknown fields and deep or odd bodies', async () => {
      const of = boot()
      const body = {
        nested: [{ a: null }, [1.5, -2, 1e-7, true]],
        text: 'naïve "quotes" \\u0000 \u{1f30a}',
        __proto: 1,
      }
      const odd: Envelope = { ...envelopeOf({ ...of, seq: 1, kind: 'of-the-future', body }), extra: { kept: [1] } }
      await reports().append([odd], NOON)
      const [stored] = await reports().read({ device: of.device })
      expect(stored?.envelope).toEqual(odd)
      expect(await reports().counts({ device: of.device })).toEqual({ 'of-the-future': 1 })
    })

    it('does not let a body that it cannot hold as it is stop the batch', async () => {
      const of = boot()
      let deep: unknown = 'bottom'
      for (let i = 0; i < 20_000; i++) deep = i % 2 ? [deep] : { deep }
      const bodies: Envelope['body'][] = [
        { nul: 'a\0b', ['key\0']: 1 },
        { lone: '\ud800', tail: '\udc00x' },
        { deep },
        { huge: 1.7976931348623157e308, tiny: 5e-324, negative: -0 },
      ]
      const envelopes = bodies.map((body, i) => envelopeOf({ ...of, seq: i + 1, kind: `kind\0${i}`, body }))
      const { acks, fresh } = await reports().append(envelopes, NOON)
      expect(acks).toEqual([ackOf(of, 4)])
      expect(fresh).toEqual(envelopes)
      const stored = await reports().read({ device: of.device })
      expect(stored.map((report) => report.envelope.seq)).toEqual([1, 2, 3, 4])
      expect(stored[3]?.envelope.body).toMatchObject({ huge: 1.7976931348623157e308, tiny: 5e-324 })
    })

    it('reads in order of storing, from a cursor, at most so many', async () => {
      const of = boot()
      await reports().append(series(of, [5, 4]), NOON)
      await reports().append(series(of, [1, 2, 3]), NOON)
      const all = await reports().read({ device: of.device })
      expect(all.map((report) => report.envelope.seq)).toEqual([5, 4, 1, 2, 3])
      const ids = all.map((report) => report.id)
      expect(ids).toEqual(ids.toSorted((a, b) => a - b))
      const page = await reports().read({ device: of.device, after: ids[1] as number, limit: 2 })
      expect(page.map((report) => report.envelope.seq)).toEqual([1, 2])
      expect(await reports().read({ device: of.device, after: ids[4] as number })).toEqual([])
    })

    it('never lets a reader with a cursor pass over a report that commits later', async () => {
      const boots = Array.from({ length: 8 }, boot)
      const fleet = unique('fleet')
      const seen = new Set<number>()
      let cursor = 0
      let writing = true
      const reading = (async () => {
        for (let last = false; !last; ) {
          last = !writing
          for (const report of await reports().read({ fleet, after: cursor })) {
            seen.add(report.id)
            cursor = report.id
          }
        }
      })()
      await Promise.all(
        boots.map(async (of) => {
          for (let seq = 1; seq <= 15; seq++) await reports().append(series({ ...of, fleet }, [seq]), NOON)
        }),
      )
      writing = false
      await reading
      expect(seen.size).toBe(boots.length * 15)
    })

    it('filters by kind, device, fleet and manifest digest', async () => {
      const [one, other] = [boot(), boot()]
      const fleet = unique('fleet')
      const manifestDigest = uniqueDigest()
      await reports().append(
        [
          envelopeOf({ ...one, fleet, seq: 1, kind: 'state' }),
          envelopeOf({ ...one, fleet, seq: 2, kind: 'profile', manifestDigest }),
          envelopeOf({ ...other, fleet, seq: 1, kind: 'profile', manifestDigest }),
          envelopeOf({ ...other, fleet, seq: 2, kind: 'event' }),
        ],
        NOON,
      )
      const read = async (filter: Parameters<ReportStore['read']>[0]) =>
        (await reports().read(filter)).map(
          ({ envelope }) => `${envelope.device === one.device ? 1 : 2}.${envelope.seq}`,
        )
      expect(await read({ fleet })).toEqual(['1.1', '1.2', '2.1', '2.2'])
      expect(await read({ fleet, kind: 'profile' })).toEqual(['1.2', '2.1'])
      expect(await read({ manifestDigest })).toEqual(['1.2', '2.1'])
      expect(await read({ manifestDigest, device: other.device })).toEqual(['2.1'])
      expect(await read({ fleet, kind: 'no-such' })).toEqual([])
      expect(await reports().counts({ fleet })).toEqual({ state: 1, profile: 2, event: 1 })
      expect(await reports().counts({ manifestDigest })).toEqual({ profile: 2 })
      expect(await reports().counts({ device: one.device })).toEqual({ state: 1, profile: 1 })
      expect((await reports().counts()).profile).toBeGreaterThanOrEqual(2)
    })
  })
}

function contiguous(seqs: ReadonlySet<number>): number {
  let highest = 0
  while (seqs.has(highest + 1)) highest++
  return highest
}
