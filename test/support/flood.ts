import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'

export const GIGABYTE = 1024 ** 3
const PART_BYTES = 256 * 1024

export interface FloodResult {
  /** 0 when the connection was closed without an answer. */
  readonly status: number
  readonly body: string
  /** What was handed to the connection before it was closed. */
  readonly sentBytes: number
}

export interface FloodOptions {
  readonly method?: string
  readonly contentType?: string
  readonly bytes?: number
  /** Whether the size is said before; otherwise the body comes in chunks of unknown number. */
  readonly declared: boolean
}

/** Sends a body made on the way, as fast as it is taken, and goes on after the answer until the connection is closed. */
export async function flood(url: string, options: FloodOptions): Promise<FloodResult> {
  const { method = 'POST', contentType = 'application/json', bytes = GIGABYTE, declared } = options
  const headers = { 'content-type': contentType, ...(declared && { 'content-length': bytes }) }
  // To one that says "Connection: close" Node closes with its answer, and the reset may overtake the answer.
  const agent = new Agent({ keepAlive: true })
  const sending = request(url, { method, headers, agent })
  let status = 0
  let body = ''
  sending.on('response', (response) => {
    status = response.statusCode ?? 0
    response.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    response.on('error', () => undefined)
  })
  // Being cut off is what is expected.
  sending.on('error', () => undefined)
  const sentBytes = await pour(sending, bytes)
  agent.destroy()
  return { status, body, sentBytes }
}

/** Sends bytes on a bare connection, these first, until it is closed or all are sent; answers how many were. */
export async function floodSocket(port: number, first: Uint8Array, bytes = GIGABYTE): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  socket.write(first)
  return pour(socket, bytes)
}

/** As much of a stream as an ordinary writer would hand over: it waits when asked to. */
async function pour(to: NodeJS.WritableStream & { readonly destroyed: boolean }, bytes: number): Promise<number> {
  let open = true
  const closed = new Promise<void>((resolve) => {
    to.once('close', () => {
      open = false
      resolve()
    })
  })
  const part = Buffer.alloc(PART_BYTES, ' ')
  let sentBytes = 0
  while (open && !to.destroyed && sentBytes < bytes) {
    const hasRoom = to.write(part)
    sentBytes += part.length
    const taken = hasRoom ? new Promise((resolve) => setImmediate(resolve)) : once(to, 'drain').catch(() => undefined)
    await Promise.race([taken, closed])
  }
  if (open) to.end()
  await closed
  return sentBytes
}

/** Runs an action and answers by how much the resident memory of a process grew meanwhile, at most. */
export async function grownBytes(pid: number, action: () => Promise<void>): Promise<number> {
  const before = await residentBytes(pid)
  let peak = before
  let running = true
  const watching = (async () => {
    while (running) peak = Math.max(peak, await residentBytes(pid))
  })()
  try {
    await action()
  } finally {
    running = false
    await watching
  }
  return peak - before
}

async function residentBytes(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout) * 1024
}
