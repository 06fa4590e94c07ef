import { ask, type Load, warm } from './load.js'
import { json } from './requests.js'
import { median, type Part, Rounds, SECONDS, type Setting } from './rounds.js'
import { type Server, startChild } from './servers.js'

/** At least, since the difference is small beside the noise. */
const ROUNDS = 15
const SAMPLED = '0.01'

/**
 * One process with a stored key asked for, metrics and traces sampled at 1%, against one with none of these, in turn in each
 * round: the median of what it was in each, since the machine is not the same from one round to the next. Throws when no spans
 * came, or metrics are not there: then nothing was compared.
 */
export async function overheadPart({ progress, ours, rounds }: Setting): Promise<Part> {
  const rates = new Rounds()
  const ratios: number[] = []
  const sink = await startChild('./sink-child.js', [])
  const full = await ours({ env: { TRACES: sink.url, SAMPLED, ACCESS: 'required' } })
  const bare = await ours({ env: { BARE: 'yes' } })
  const loads: Record<string, Load> = { with: loadOf(full), without: loadOf(bare) }
  for (const load of Object.values(loads)) await warm(load)
  const count = Math.max(rounds, ROUNDS)
  for (let round = 1; round <= count; round++) {
    progress(`with and without access, metrics and traces, round ${round} of ${count}`)
    const pair = Object.entries(loads)
    // Neither is always the first.
    if (round % 2 === 0) pair.reverse()
    for (const [name, load] of pair) rates.note(name, (await ask(load)).perSecond)
    ratios.push(rates.last('with') / rates.last('without'))
  }
  await full.stop()
  await bare.stop()
  const spans = Number(await (await fetch(sink.url)).text())
  await sink.stop()
  if (!(spans > 0)) throw new Error('no traces were sent, so that their cost was not measured')
  return {
    rows: rates.rows('access by a stored key, metrics, traces at 1%', 'requestsPerSecond'),
    checks: [{ id: 'overhead', value: median(ratios), atLeast: 0.85, aim: 0.95 }],
  }
}

function loadOf({ url, key }: Server): Load {
  const { headers, body } = json([1, 784])
  const authorization: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const to = `${url}/v2/models/dense/infer`
  return { url: to, headers: { ...headers, ...authorization }, body, connections: 32, seconds: SECONDS }
}
