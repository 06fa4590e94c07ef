import { ask, warm } from './load.js'
import { json } from './requests.js'
import { nameOf, type Part, PROCESSES, Rounds, SECONDS, type Setting } from './rounds.js'
import { hasMlserver, type Server, startMlserver } from './servers.js'

const INFER = '/v2/models/dense/infer'
/** Of its processes for inference; 0: in the process that answers. */
const WORKERS = [0, 2] as const
const peerName = (workers: number): string => `MLServer, ${workers} parallel workers`

/** The dense network in JSON against MLServer, over the same protocol. Where that is not installed it says so and has no row. */
export async function mlserverPart({ progress, ours, dense, rounds }: Setting): Promise<Part> {
  if (!(await hasMlserver())) {
    progress('MLServer is not installed (pip install mlserver onnxruntime; TIDEWAY_PEERS_PYTHON): not run')
    return { rows: [{ case: 'dense, json, to MLServer', server: 'MLServer', run: false }], checks: [] }
  }
  const rates = new Rounds()
  const measure = async (name: string, server: Server): Promise<void> => {
    const load = { url: server.url + INFER, ...json([1, 784]), connections: 32, seconds: SECONDS }
    await warm(load)
    rates.note(name, (await ask(load)).perSecond)
    await server.stop()
  }
  for (let round = 1; round <= rounds; round++) {
    progress(`MLServer, round ${round} of ${rounds}`)
    for (const workers of WORKERS) await measure(peerName(workers), await startMlserver({ model: dense.path, workers }))
    for (const processes of PROCESSES) await measure(nameOf(processes), await ours({ processes }))
  }
  const best = (names: readonly string[]) => rates.median(rates.best(names))
  const value = best(PROCESSES.map(nameOf)) / best(WORKERS.map(peerName))
  return {
    rows: rates.rows('dense, json, to MLServer', 'requestsPerSecond'),
    checks: [{ id: 'dense-to-mlserver', value, atLeast: 2, aim: 4 }],
  }
}
