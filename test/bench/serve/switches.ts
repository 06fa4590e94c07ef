import { readFile } from 'node:fs/promises'
import type { Server } from './servers.js'

export interface Switches {
  readonly switches: number
  readonly requests: number
  readonly failed: number
  /** Resident memory at the end over that after the first tenth of the switches. */
  readonly growth: number
}

/** Asks on several connections while `latest` moves between versions, which the server does by itself on `POST /switch`. */
export async function switching(
  server: Server,
  url: string,
  body: { headers: Record<string, string>; body: Buffer },
  switches: number,
): Promise<Switches> {
  let isDone = false
  let requests = 0
  let failed = 0
  const client = async (): Promise<void> => {
    while (!isDone) {
      const answer = await fetch(url, { method: 'POST', headers: body.headers, body: new Uint8Array(body.body) }).catch(
        () => undefined,
      )
      await answer?.arrayBuffer()
      requests++
      if (answer?.status !== 200) failed++
    }
  }
  const clients = Array.from({ length: 4 }, client)
  let settled = 0
  for (let at = 1; at <= switches; at++) {
    const moved = await fetch(`${server.control}/switch`, { method: 'POST' })
    if (!moved.ok) throw new Error(`a switch failed: ${await moved.text()}`)
    if (at === Math.ceil(switches / 10)) settled = await residentBytes(server.pid)
  }
  isDone = true
  await Promise.all(clients)
  return { switches, requests, failed, growth: (await residentBytes(server.pid)) / settled }
}

async function residentBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) * 1024
}
