import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Client } from '@tideway/client'
import type { EdgeStatus } from '@tideway/edge'
import { cloudErrors } from '../errors.js'
import { runningIn, start, stop } from './processes.js'

const ACTIVE_SECONDS = 60
const REPORT_SECONDS = 30

/** A running edge agent and the door at which programs on the device ask it. */
export interface Device {
  readonly id: string
  readonly pid: number
  readonly url: string
}

export type Link = { readonly cloud: string } | { readonly nats: string }

/**
 * Starts the edge agents that do not run yet, each a process of its own with its own identity and store. One that an
 * earlier run left, but that looks for another cloud, is started again.
 */
export async function startDevices(dir: string, count: number, fleet: string, link: Link): Promise<Device[]> {
  const running = await runningIn(dir)
  const bin = fileURLToPath(new URL('./bin.js', import.meta.resolve('@tideway/edge')))
  const wire = 'nats' in link ? ['--nats', link.nats] : ['--cloud', link.cloud]
  const at = wire.join(' ')
  const ids = Array.from({ length: count }, (_, i) => `device-${i + 1}`)
  return Promise.all(
    ids.map(async (id) => {
      const left = running.find(({ name }) => name === id)
      if (left && left.detail.at === at && left.detail.url !== undefined)
        return { id, pid: left.pid, url: left.detail.url }
      if (left) await stop(left)
      const args = [bin, 'run', '--device', id, '--fleet', fleet, ...wire, '--dir', join(dir, 'devices', id)]
      const more = ['--listen', '127.0.0.1:0', '--report-every', '2', '--json']
      const agent = await start(dir, id, { file: process.execPath, args: [...args, ...more] }, ({ listening }) =>
        typeof listening === 'string' ? { url: listening, at } : undefined,
      )
      return { id, pid: agent.pid, url: agent.detail.url! }
    }),
  )
}

/** Waits until every device runs this version. Throws `WAIT_TIMEOUT` saying what each one says of itself. */
export async function waitUntilActive(
  devices: readonly Device[],
  model: string,
  manifestDigest: string,
): Promise<void> {
  let said: string[] = []
  for (let waited = 0; waited < ACTIVE_SECONDS * 10; waited += 1) {
    const states = await Promise.all(devices.map(async (device) => (await statusOf(device)).models[model]))
    if (states.every((state) => state?.status === 'active' && state.manifestDigest === manifestDigest)) return
    said = states.map((state, i) =>
      `${devices[i]!.id} ${state?.status ?? 'waiting'} ${state?.error?.code ?? ''}`.trim(),
    )
    await delay(100)
  }
  throw cloudErrors.WAIT_TIMEOUT({ what: `activation (${said.join(', ')})`, seconds: ACTIVE_SECONDS })
}

export async function statusOf(device: Device): Promise<EdgeStatus> {
  const response = await fetch(`${device.url}/v1/status`)
  return (await response.json()) as EdgeStatus
}

/** Asks a device to infer each row; answers how many of the answers were none. */
export async function feed(
  device: Device,
  model: string,
  input: { readonly name: string; readonly rows: readonly Float32Array[] },
  onRow: () => void,
): Promise<number> {
  let failures = 0
  for (const row of input.rows) {
    const inputs = [{ name: input.name, shape: [1, row.length], datatype: 'FP32', data: Array.from(row) }]
    const response = await fetch(`${device.url}/v2/models/${model}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs }),
    })
    await response.arrayBuffer()
    if (!response.ok) failures += 1
    onRow()
  }
  return failures
}

/** Sends what the devices saw, and waits until the monitor has it all. Throws `WAIT_TIMEOUT`. */
export async function collect(
  client: Client,
  devices: readonly Device[],
  fleet: string,
  manifestDigest: string,
  rows: readonly number[],
) {
  // An agent whose flush fails sends at its own time; what counts is that everything arrives.
  await Promise.all(devices.map(({ url }) => fetch(`${url}/v1/flush`, { method: 'POST' })))
  for (let waited = 0; waited < REPORT_SECONDS * 10; waited += 1) {
    const all = await client.drift({ fleet, digest: manifestDigest })
    const verdicts = devices.map(({ id }) => all.find(({ device }) => device === id))
    if (verdicts.every((verdict, i) => verdict !== undefined && verdict.rows >= rows[i]!))
      return verdicts.map((v) => v!)
    await delay(100)
  }
  throw cloudErrors.WAIT_TIMEOUT({ what: 'arrival of every report at the monitor', seconds: REPORT_SECONDS })
}
