import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { type Body, json } from './requests.js'
import { numberOf, type Part, type Setting } from './rounds.js'
import type { Server } from './servers.js'

const CLIENTS = 4
const PROCESSES = 2
/** Memory is read as the median of so many looks, between which garbage is collected or not. */
const LOOKS = 9
const LOOK_MS = 100
const MIB = 1024 ** 2

/** Asks without pause while `latest` moves on, on the data plane; each switch waits until every client has been answered by it. */
export async function switchPart({ progress, ours, args }: Setting): Promise<Part> {
  const switches = numberOf(args, '--switches', 1000)
  const server = await ours({ processes: PROCESSES })
  const clients = new Clients(`${server.url}/v2/models/dense/infer`, json([1, 784]))
  const settledAt = Math.ceil(switches / 10)
  let settled = 0
  for (let at = 1; at <= switches; at++) {
    await clients.allAt(await nextVersion(server))
    if (at === settledAt) settled = await residentBytes(server.pids)
    if (at % 100 === 0)
      progress(`${at} of ${switches} switches under load; ${Math.round((await residentBytes(server.pids)) / MIB)} MiB`)
  }
  const end = await residentBytes(server.pids)
  await clients.stop()
  await server.stop()
  const { requests, failed } = clients
  const growth = end / settled - 1
  const memory = { settledMiB: settled / MIB, endMiB: end / MIB, growth }
  return {
    rows: [{ case: `switches, data plane of ${PROCESSES}`, switches, requests, failed, ...memory }],
    checks: [
      { id: 'switch-failed-requests', value: failed, atMost: 0 },
      { id: 'switch-memory-growth', value: growth, atMost: 0.05, aim: 0 },
    ],
  }
}

async function nextVersion({ control }: Server): Promise<number> {
  const moved = await fetch(`${control}/switch`, { method: 'POST' })
  const text = await moved.text()
  if (!moved.ok) throw new Error(`a switch failed: ${text}`)
  return Number(text)
}

/** Some that ask one request after the other, and know which version answered last. */
class Clients {
  requests = 0
  failed = 0
  private isDone = false
  private readonly versions: number[] = Array.from({ length: CLIENTS }, () => 0)
  private readonly all: Promise<void>[]

  constructor(
    private readonly url: string,
    private readonly body: Body,
  ) {
    this.all = this.versions.map((_, index) => this.run(index))
  }

  async allAt(version: number): Promise<void> {
    const until = performance.now() + 10_000
    while (this.versions.some((last) => last < version)) {
      if (performance.now() > until) throw new Error(`version ${version} answered not everybody within 10 s`)
      await setTimeout(1)
    }
  }

  async stop(): Promise<void> {
    this.isDone = true
    await Promise.all(this.all)
  }

  private async run(index: number): Promise<void> {
    const init = { method: 'POST', headers: this.body.headers, body: new Uint8Array(this.body.body) }
    while (!this.isDone) {
      const answer = await fetch(this.url, init).catch(() => undefined)
      const text = await answer?.text().catch(() => undefined)
      this.requests++
      if (answer?.status !== 200 || text === undefined) this.failed++
      else this.versions[index] = Number((JSON.parse(text) as { model_version: string }).model_version)
    }
  }
}

async function residentBytes(pids: readonly number[]): Promise<number> {
  const looks: number[] = []
  for (let look = 0; look < LOOKS; look++) {
    const each = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')))
    looks.push(each.reduce((sum, text) => sum + Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) * 1024, 0))
    await setTimeout(LOOK_MS)
  }
  return looks.sort((a, b) => a - b)[Math.floor(LOOKS / 2)] as number
}
