import { type Envelope, silentLogger } from '@tideway/core'
import { eventually } from '@tideway/test/support/process'
import { expect, it } from 'vitest'
import { createIntake, type IntakeOptions } from './intake.js'

function intakeWith(options: Partial<IntakeOptions>) {
  const given: Error[] = []
  const intake = createIntake({
    handler: async () => [],
    acknowledge: () => undefined,
    giveUp: (error) => given.push(error),
    maxQueuedBytes: 1_000_000,
    maxDeliveries: 5,
    maxBackoffMs: 5,
    logger: silentLogger,
    ...options,
  })
  return { intake, given }
}

it('holds back whoever offers once the queue is full, and never holds more', async () => {
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const seen: number[] = []
  const { intake } = intakeWith({
    maxQueuedBytes: 300,
    handler: async (batch) => {
      await released
      seen.push(...batch.map((envelope) => envelope.seq))
      return []
    },
  })
  let taken = 0
  const offers = Array.from({ length: 10 }, (_, index) =>
    intake.offer(report(index + 1), 100).then(() => {
      taken += 1
    }),
  )
  await eventually('three are taken', () => taken === 3)
  await new Promise((resolve) => setImmediate(resolve))
  expect(taken).toBe(3)
  release()
  await Promise.all(offers)
  await eventually('all were given', () => seen.length === 10)
  expect(seen.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  await intake.stop()
})

it('gives up a report that is never accepted, and lets the others through', async () => {
  const seen: number[] = []
  const { intake, given } = intakeWith({
    handler: async (batch) => {
      if (batch.some((envelope) => envelope.seq === 2)) throw new Error('cannot be stored')
      seen.push(...batch.map((envelope) => envelope.seq))
      return []
    },
  })
  await Promise.all([1, 2, 3].map((seq) => intake.offer(report(seq), 10)))
  await eventually('one is given up', () => given.length === 1)
  await eventually('two are through', () => seen.length === 2)
  expect(given[0]).toMatchObject({ code: 'REPORT_DEAD_LETTERED', data: { device: 'device', deliveries: 5 } })
  expect(seen.toSorted((a, b) => a - b)).toEqual([1, 3])
  await intake.stop()
})

it('stops while the handler fails and while offers wait', async () => {
  const { intake } = intakeWith({
    maxQueuedBytes: 10,
    maxBackoffMs: 60_000,
    handler: async () => {
      throw new Error('away')
    },
  })
  const offers = [1, 2, 3].map((seq) => intake.offer(report(seq), 10))
  await intake.stop()
  await Promise.all(offers)
})

function report(seq: number): Envelope {
  const at = new Date().toISOString()
  const about = { device: 'device', fleet: 'fleet', boot: 'boot', seq, schema: 1, from: at, to: at, sentAt: at }
  return { v: 1, kind: 'event', ...about, body: {} }
}
