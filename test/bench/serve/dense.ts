import { ask, type Load, warm } from './load.js'
import { pace } from './paced.js'
import { type Body, binary, json, raw } from './requests.js'
import { nameOf, type Part, PROCESSES, Rounds, SECONDS, type Setting } from './rounds.js'
import { type Server, startFastApi } from './servers.js'

const SHAPE = [1, 784]
const CONNECTIONS = 32
const FORMS = ['json', 'binary'] as const
/** Workers of uvicorn by threads of ONNX Runtime. */
const FASTAPI = [1, 2].flatMap((workers) => [1, 2].map((threads) => ({ workers, threads })))
const fastApiName = ({ workers, threads }: (typeof FASTAPI)[number]): string => `FastAPI ${workers}x${threads}`

type Form = (typeof FORMS)[number]
type Route = readonly [path: string, body: Body]

const INFER = '/v2/models/dense/infer'
const OURS: Readonly<Record<Form, Route>> = { json: [INFER, json(SHAPE)], binary: [INFER, binary(SHAPE)] }
const PEER: Readonly<Record<Form, Route>> = { json: ['/json', json(SHAPE)], binary: ['/binary', raw(SHAPE)] }

/** Requests a second of the dense network in both forms, and the latency of JSON at half of saturation. */
export async function densePart(setting: Setting): Promise<Part> {
  const { progress, ours, dense, rounds } = setting
  const rates = { json: new Rounds(), binary: new Rounds() }
  const p99s = new Rounds()
  const held = new Rounds()
  const paced = async (name: string, load: Load, perSecond: number): Promise<void> => {
    const result = await pace(load, perSecond)
    p99s.note(name, result.p99Ms)
    held.note(name, result.perSecond / perSecond)
  }
  const measure = async (name: string, server: Server, routes: Readonly<Record<Form, Route>>): Promise<number> => {
    for (const form of FORMS) {
      const load = loadOf(server, routes[form])
      await warm(load)
      rates[form].note(name, (await ask(load)).perSecond)
    }
    return rates.json.last(name)
  }
  for (let round = 1; round <= rounds; round++) {
    progress(`dense, round ${round} of ${rounds}`)
    let peers = 0
    for (const options of FASTAPI) {
      const name = fastApiName(options)
      const server = await startFastApi({ model: dense.path, ...options })
      const rate = await measure(name, server, PEER)
      await paced(name, loadOf(server, PEER.json), rate / 2)
      peers = Math.max(peers, rate)
      await server.stop()
    }
    for (const processes of PROCESSES) {
      const server = await ours({ processes })
      const rate = await measure(nameOf(processes), server, OURS)
      await paced(nameOf(processes), loadOf(server, OURS.json), rate / 2)
      await paced(`${nameOf(processes)} at FastAPI's rate`, loadOf(server, OURS.json), peers / 2)
      await server.stop()
    }
  }
  const [own, peers] = [PROCESSES.map(nameOf), FASTAPI.map(fastApiName)]
  const ratio = (form: Form) => rates[form].median(rates[form].best(own)) / rates[form].median(rates[form].best(peers))
  const least = (names: readonly string[]) => Math.min(...names.map((name) => p99s.median(name)))
  const sameRate = own.map((name) => `${name} at FastAPI's rate`)
  return {
    rows: [
      ...FORMS.flatMap((form) => rates[form].rows(`dense, ${form}`, 'requestsPerSecond')),
      ...p99s.rows('p99 at half of saturation', 'ms').map((row) => ({ ...row, held: held.median(String(row.server)) })),
    ],
    checks: [
      { id: 'dense-json-to-fastapi', value: ratio('json'), atLeast: 2, aim: 4 },
      { id: 'dense-binary-to-fastapi', value: ratio('binary'), atLeast: 3, aim: 6 },
      { id: 'p99-to-fastapi', value: least(own) / least(peers), atMost: 1, aim: 0.5 },
      { id: 'p99-at-fastapi-rate', value: least(sameRate) / least(peers), atMost: 1, aim: 0.5 },
      // Latencies at a rate that was not held would be of another rate.
      {
        id: 'p99-rate-held',
        value: Math.min(...[...own, ...sameRate, ...peers].map((name) => held.median(name))),
        atLeast: 0.95,
      },
    ],
  }
}

function loadOf(server: Server, [path, { headers, body }]: Route): Load {
  return { url: server.url + path, headers, body, connections: CONNECTIONS, seconds: SECONDS }
}
