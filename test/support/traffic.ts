import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Envelope, StoredReport } from '@tideway/core'
import { openStore } from '@tideway/store-postgres'
import { expect } from 'vitest'
import { tidewayJson } from './command.js'
import type { TestDevice } from './loop.js'
import { eventually } from './process.js'

export const BLOBS = fileURLToPath(new URL('../e2e/fixtures/blobs.ts', import.meta.url))

export interface TrainedVersion {
  readonly job: string
  readonly model: string
  readonly created: boolean
  readonly version: { readonly version: number; readonly manifestDigest: string }
  readonly variantDigests: Readonly<Record<string, string>>
}

/** Trains a pipeline on a running cloud by the built command. */
export function train(url: string, pipeline: string, ...more: readonly string[]): Promise<TrainedVersion> {
  return tidewayJson<TrainedVersion>(['train', pipeline, '--cloud', url, ...more])
}

/** A row of the class `below`, shifted by what `drift` says. */
export function rowOf(index: number, drift = 0): Float32Array {
  return Float32Array.from({ length: 4 }, (_, i) => Math.sin(index * 12.9898 + i * 78.233) - 1.5 + drift)
}

export interface Traffic {
  /** Inferences answered so far. */
  readonly answered: number
  /** Resolves when the last one is answered; throws if any was not. */
  stop(): Promise<number>
}

/** Asks a device again and again, as a program on it would, until stopped. */
export function infer(device: TestDevice, model: string, pauseMs = 10): Traffic {
  let answered = 0
  let running = true
  const done = (async () => {
    while (running) {
      await device.infer(model, rowOf(answered))
      answered += 1
      await pause(pauseMs)
    }
  })()
  done.catch(() => undefined)
  return {
    get answered() {
      return answered
    },
    async stop() {
      running = false
      await done
      return answered
    },
  }
}

/** Until all of the device's reports are acknowledged: its outbox is empty after everything was sealed. */
export async function untilDelivered(device: TestDevice, timeoutMs = 60_000): Promise<void> {
  await device.flush()
  await eventually(
    `an empty outbox of ${device.id}`,
    async () => (await device.status()).outbox.pending === 0,
    timeoutMs,
  ).catch(async (error: unknown) => {
    const { outbox, connected } = await device.status()
    throw new Error(`${String(error)}: ${JSON.stringify({ outbox, connected })}\n${device.process.lines.join('\n')}`)
  })
}

/** Every report in the store of a cloud that has ended, in order of storing. */
export async function storedReports(store: Parameters<typeof openStore>[0]): Promise<Envelope[]> {
  const opened = await openStore(store)
  try {
    const all: StoredReport[] = []
    for (;;) {
      const page = await opened.reportStore.read({ after: all.at(-1)?.id ?? 0 })
      if (page.length === 0) return all.map(({ envelope }) => envelope)
      all.push(...page)
    }
  } finally {
    await opened.close()
  }
}

/** Each sequence of each start of each device is there once, from 1 on without a gap, and none says that one was dropped. */
export function expectEachOnce(reports: readonly Envelope[]): void {
  const boots: Record<string, number[]> = {}
  for (const { device, boot, seq } of reports) (boots[`${device}/${boot}`] ??= []).push(seq)
  for (const [boot, sequences] of Object.entries(boots)) {
    sequences.sort((a, b) => a - b)
    expect(sequences, boot).toEqual(sequences.map((_, i) => i + 1))
  }
  expect(reports.filter(({ body }) => body.dropped !== undefined)).toEqual([])
}

/** Inferences that profile reports tell of, by device. */
export function rowsOf(reports: readonly Envelope[], device: string): number {
  return reports
    .filter((report) => report.kind === 'profile' && report.device === device)
    .reduce((sum, { body }) => sum + Number(body.rows), 0)
}
