import { type Body, json } from './requests.js'
import { type Part, Rounds, type Setting } from './rounds.js'
import { type Server, startFastApi, startFile } from './servers.js'

const BODY = json([1, 784])
const INFER = '/v2/models/dense/infer'

/**
 * From nothing to the first answer: one process for one file, by `tideway serve` and by FastAPI, and the cloud, which opens a
 * store, a broker and the rest before.
 */
export async function startPart({ progress, ours, dense, rounds }: Setting): Promise<Part> {
  const times = new Rounds()
  for (let round = 1; round <= rounds; round++) {
    progress(`cold start, round ${round} of ${rounds}`)
    times.note('ours', await firstAnswer(() => startFile('dense', dense.path), INFER, BODY))
    times.note('cloud', await firstAnswer(() => ours(), INFER, BODY))
    const peer = { model: dense.path, workers: 1, threads: 1 }
    times.note('FastAPI', await firstAnswer(() => startFastApi(peer), '/json', BODY))
  }
  const value = times.median('ours') / times.median('FastAPI')
  return {
    rows: times.rows('cold start to the first answer', 'ms'),
    checks: [{ id: 'cold-start-to-fastapi', value, atMost: 1, aim: 0.5 }],
  }
}

async function firstAnswer(start: () => Promise<Server>, route: string, { headers, body }: Body): Promise<number> {
  const began = performance.now()
  const server = await start()
  const answer = await fetch(server.url + route, { method: 'POST', headers, body: new Uint8Array(body) })
  if (answer.status !== 200) throw new Error(`${route}: ${answer.status}`)
  await answer.arrayBuffer()
  const ms = performance.now() - began
  await server.stop()
  return ms
}
