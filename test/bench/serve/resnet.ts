import { ask, type Load, warm } from './load.js'
import { binary, raw } from './requests.js'
import { nameOf, type Part, Rounds, SECONDS, type Setting } from './rounds.js'
import { askChild, startChild } from './servers.js'

const SHAPE = [1, 32, 32, 3]
const CONNECTIONS = 8
/** Where all that is compared runs, and where the load comes from. */
const [CORE, LOAD_CORE] = ['1', '0']
/** One core is one process's: its own face, and the data plane beside a parent that only waits. */
const PROCESSES = [0, 1] as const

/** ResNet-8 on one core, the load from the other, against as many bare loops over `session.run` and a bare handler. */
export async function resnetPart({ progress, ours, resnet, rounds }: Setting): Promise<Part> {
  const rates = new Rounds()
  const settings = { connections: CONNECTIONS, seconds: SECONDS, cores: LOAD_CORE }
  const measure = async (name: string, load: Load): Promise<void> => {
    await warm(load)
    rates.note(name, (await ask(load)).perSecond)
  }
  for (let round = 1; round <= rounds; round++) {
    progress(`ResNet-8, round ${round} of ${rounds}`)
    const loops = [resnet.path, '1', SHAPE.join(), String(CONNECTIONS), String(SECONDS)]
    rates.note('ceiling', (await askChild<{ perSecond: number }>('./loops-child.js', loops, CORE)).perSecond)
    const handler = await startChild('./handler-child.js', [resnet.path, '1', SHAPE.join()], { cores: CORE })
    await measure('handler', { ...settings, ...raw(SHAPE), url: handler.url })
    await handler.stop()
    for (const processes of PROCESSES) {
      const server = await ours({ processes, cores: CORE })
      await measure(nameOf(processes), { ...settings, ...binary(SHAPE), url: `${server.url}/v2/models/resnet/infer` })
      await server.stop()
    }
  }
  const own = rates.median(rates.best(PROCESSES.map(nameOf)))
  return {
    rows: rates.rows('ResNet-8, binary, one core', 'requestsPerSecond'),
    checks: [
      { id: 'resnet-to-ceiling', value: own / rates.median('ceiling'), atLeast: 0.75, aim: 0.9 },
      { id: 'resnet-to-handler', value: own / rates.median('handler'), atLeast: 0.95, aim: 1.2 },
    ],
  }
}
