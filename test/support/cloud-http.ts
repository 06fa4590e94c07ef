import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  type Ack,
  type DesiredState,
  type Envelope,
  type ReportedState,
  toJsonBytes,
  type WireInfo,
} from '@tideway/core'

type AcceptReports = (envelopes: readonly Envelope[]) => Promise<readonly { fleet: string; device: string; ack: Ack }[]>

/** The HTTP half of an MQTT device's wire, over maps: slow and obviously right. */
export interface TestCloudHttp {
  readonly url: string
  wire: WireInfo
  /** Every answer waits this long. Default 0. */
  delayMs: number
  setDesired(target: { fleet: string; device?: string }, desired: DesiredState): void
  readonly chunks: Map<string, Uint8Array>
  /** By fleet/device. */
  readonly reported: Map<string, ReportedState>
  /** Chunks that the store found altered: answered as the HTTP face does. */
  readonly altered: Set<string>
  /** What `POST /v1/devices/{id}/reports` does; it answers 503 while there is none. */
  acceptReports: AcceptReports | undefined
  close(): Promise<void>
}

export async function startCloudHttp(wire: WireInfo, port = 0): Promise<TestCloudHttp> {
  const desired = new Map<string, DesiredState>()
  const keyOf = (fleet: string, device?: string) => `${fleet}/${device ?? ''}`
  const state = {
    wire,
    delayMs: 0,
    chunks: new Map<string, Uint8Array>(),
    reported: new Map<string, ReportedState>(),
    altered: new Set<string>(),
    acceptReports: undefined as AcceptReports | undefined,
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs).unref())
    const url = new URL(request.url ?? '/', 'http://cloud')
    const send = (status: number, body: Uint8Array) => response.writeHead(status).end(body)
    const [, , noun, id, facet] = url.pathname.split('/')
    if (noun === 'wire') return void send(200, toJsonBytes(state.wire))
    if (noun === 'chunks') {
      if (state.altered.has(id ?? ''))
        return void send(
          422,
          toJsonBytes({ error: { code: 'CHUNK_DIGEST_MISMATCH', message: '', data: { actual: 'f'.repeat(64) } } }),
        )
      const chunk = state.chunks.get(id ?? '')
      return void send(chunk ? 200 : 404, chunk ?? new Uint8Array())
    }
    if (noun === 'devices' && facet === 'desired') {
      const fleet = url.searchParams.get('fleet') ?? ''
      const found = desired.get(keyOf(fleet, id)) ?? desired.get(keyOf(fleet))
      return void send(found ? 200 : 404, found ? toJsonBytes(found) : new Uint8Array())
    }
    if (noun === 'devices' && facet === 'reports') {
      if (!state.acceptReports) return void send(503, new Uint8Array())
      const { reports } = (await jsonOf(request)) as { reports: Envelope[] }
      return void send(200, toJsonBytes({ acks: await state.acceptReports(reports) }))
    }
    if (noun === 'devices' && facet === 'reported') {
      const reported = (await jsonOf(request)) as ReportedState
      state.reported.set(keyOf(reported.fleet, reported.device), reported)
      return void response.writeHead(204).end()
    }
    send(404, new Uint8Array())
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(500).end())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  return Object.assign(state, {
    url: `http://127.0.0.1:${address.port}`,
    setDesired: ({ fleet, device }: { fleet: string; device?: string }, value: DesiredState) =>
      void desired.set(keyOf(fleet, device), value),
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  })
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return JSON.parse(Buffer.concat(parts).toString())
}
