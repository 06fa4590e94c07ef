import { Agent, request } from 'node:http'
import type { Load } from './load.js'

/**
 * Asks at a fixed rate, whether answers come or not (an open loop: a slow answer delays no later request, so it shows), and
 * gives the latency of the slowest in a hundred, in milliseconds from when each was due.
 */
export async function p99At({ url, headers, body, connections, seconds }: Load, perSecond: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies: number[] = []
  const began = performance.now()
  const total = Math.floor(perSecond * seconds)
  const all: Promise<void>[] = []
  const send = (due: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const asked = request(url, { agent, method: 'POST', headers: { ...headers, 'content-length': body.length } })
      asked.once('error', reject)
      asked.once('response', (response) => {
        response.resume()
        if (response.statusCode !== 200) reject(new Error(`a request was answered with ${response.statusCode}`))
        response.once('end', () => {
          latencies.push(performance.now() - due)
          resolve()
        })
      })
      asked.end(body)
    })
  let sent = 0
  while (sent < total) {
    const wanted = Math.min(total, Math.floor(((performance.now() - began) / 1000) * perSecond))
    for (; sent < wanted; sent++) all.push(send(began + (sent / perSecond) * 1000))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(all)
  agent.destroy()
  const sorted = latencies.slice(Math.floor(latencies.length / 5)).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] as number
}
