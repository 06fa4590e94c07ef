import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench, BenchCheck, BenchRow } from '../result.js'
import { type BenchModel, withModels } from '../runtimes/models.js'
import { ask } from './load.js'
import { p99At } from './paced.js'
import { type Body, binary, json, raw } from './requests.js'
import { askChild, type FastApiOptions, type Server, startChild, startFastApi } from './servers.js'
import { switching } from './switches.js'

const PARTS = ['dense', 'resnet', 'start', 'switches'] as const
/** Rounds in which everything is measured in turn; medians count. */
const ROUNDS = 5
const SECONDS = 2
const DENSE = [1, 784]
const RESNET = [1, 32, 32, 3]
/** Where the ceiling and what is held against it run; the load comes from the other. */
const CORE = '1'

interface Part {
  readonly rows: readonly BenchRow[]
  readonly checks: readonly BenchCheck[]
}

/**
 * The cloud's HTTP inference against FastAPI on onnxruntime, a bare handler and bare loops over `session.run`, on the same
 * machine as the load, in turn. `--only dense|resnet|start|switches`, `--switches N` (1,000).
 */
export const serve: Bench = async (progress, args) => {
  const at = args.indexOf('--only')
  const only = PARTS.filter((part) => at < 0 || args[at + 1] === part)
  const dir = await mkdtemp(join(tmpdir(), 'tideway-serve-'))
  try {
    return await withModels(
      async (models) => {
        const find = (name: string) => models.find((model) => model.name === name) as BenchModel
        const [dense, resnet] = [find('dense-fp32'), find('resnet-8-fp32')]
        const ours = (cores?: string): Promise<Server> =>
          startChild('./tideway-child.js', [join(dir, 'cloud'), `dense=${dense.path}`, `resnet=${resnet.path}`], cores)
        await (await ours()).stop()
        const parts: Record<(typeof PARTS)[number], () => Promise<Part>> = {
          dense: () => densePart(progress, ours, dense),
          resnet: () => resnetPart(progress, ours, resnet),
          start: () => startPart(progress, ours, dense),
          switches: () => switchPart(progress, ours, args),
        }
        const measured: Part[] = []
        for (const part of only) measured.push(await parts[part]())
        return { rows: measured.flatMap(({ rows }) => rows), checks: measured.flatMap(({ checks }) => checks) }
      },
      ['dense', 'resnet-8'],
    )
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

type Start = (cores?: string) => Promise<Server>
type Progress = (line: string) => void

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

const FASTAPI: readonly Omit<FastApiOptions, 'model'>[] = [1, 2].flatMap((workers) =>
  [1, 2].map((threads) => ({ workers, threads })),
)

async function densePart(progress: Progress, ours: Start, { path }: BenchModel): Promise<Part> {
  const routes: readonly (readonly [form: string, path: string, body: Body, peer: string, peerBody: Body])[] = [
    ['json', '/v2/models/dense/infer', json(DENSE), '/json', json(DENSE)],
    ['binary', '/v2/models/dense/infer', binary(DENSE), '/binary', raw(DENSE)],
  ]
  const rates = new Map<string, number[]>()
  const p99s = new Map<string, number[]>()
  const note = (to: Map<string, number[]>, key: string, value: number) =>
    void to.set(key, [...(to.get(key) ?? []), value])
  for (let round = 0; round < ROUNDS; round++) {
    progress(`dense, round ${round + 1} of ${ROUNDS}`)
    const load = (server: Server, route: string, body: Body) => ({
      url: server.url + route,
      ...body,
      connections: 32,
      seconds: SECONDS,
    })
    const measure = async (server: Server, name: string, own: boolean): Promise<void> => {
      for (const [form, route, body, peer, peerBody] of routes) {
        const order = own ? load(server, route, body) : load(server, peer, peerBody)
        await ask({ ...order, seconds: 0.5 })
        const { perSecond, failed } = await ask(order)
        if (failed > 0) throw new Error(`${name}: ${failed} requests failed`)
        note(rates, `${name} ${form}`, perSecond)
        if (form === 'json') note(p99s, name, await p99At(order, perSecond / 2))
      }
      await server.stop()
    }
    await measure(await ours(), 'ours', true)
    for (const options of FASTAPI) {
      const name = `fastapi ${options.workers}x${options.threads}`
      await measure(await startFastApi({ model: path, ...options }), name, false)
    }
  }
  const best = (form: string) =>
    Math.max(...FASTAPI.map(({ workers, threads }) => median(rates.get(`fastapi ${workers}x${threads} ${form}`) ?? [])))
  const least = Math.min(
    ...FASTAPI.map(({ workers, threads }) => median(p99s.get(`fastapi ${workers}x${threads}`) ?? [])),
  )
  return {
    rows: [
      ...[...rates].map(([name, values]) => ({ case: 'dense', server: name, requestsPerSecond: median(values) })),
      ...[...p99s].map(([name, values]) => ({
        case: 'p99 at half of its saturation',
        server: name,
        ms: median(values),
      })),
    ],
    checks: [
      { id: 'dense-json-to-fastapi', value: median(rates.get('ours json') ?? []) / best('json'), atLeast: 2, aim: 4 },
      {
        id: 'dense-binary-to-fastapi',
        value: median(rates.get('ours binary') ?? []) / best('binary'),
        atLeast: 3,
        aim: 6,
      },
      { id: 'p99-to-fastapi', value: median(p99s.get('ours') ?? []) / least, atMost: 1, aim: 0.5 },
    ],
  }
}

async function resnetPart(progress: Progress, ours: Start, { path }: BenchModel): Promise<Part> {
  const CONNECTIONS = 8
  const shape = RESNET.join()
  const measured = { ours: [] as number[], handler: [] as number[], ceiling: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    progress(`ResNet-8, round ${round + 1} of ${ROUNDS}`)
    const { perSecond } = await askChild<{ perSecond: number }>(
      './loops-child.js',
      [path, '1', shape, String(CONNECTIONS), String(SECONDS)],
      CORE,
    )
    measured.ceiling.push(perSecond)
    const handler = await startChild('./handler-child.js', [path, '1', shape], CORE)
    measured.handler.push(
      (await ask({ url: handler.url, ...raw(RESNET), connections: CONNECTIONS, seconds: SECONDS })).perSecond,
    )
    await handler.stop()
    const server = await ours(CORE)
    const order = { url: `${server.url}/v2/models/resnet/infer`, ...binary(RESNET), connections: CONNECTIONS }
    await ask({ ...order, seconds: 1 })
    measured.ours.push((await ask({ ...order, seconds: SECONDS })).perSecond)
    await server.stop()
  }
  const [own, handler, ceiling] = [median(measured.ours), median(measured.handler), median(measured.ceiling)]
  return {
    rows: Object.entries(measured).map(([server, values]) => ({
      case: 'ResNet-8',
      server,
      requestsPerSecond: median(values),
    })),
    checks: [
      { id: 'resnet-to-ceiling', value: own / ceiling, atLeast: 0.75, aim: 0.9 },
      { id: 'resnet-to-handler', value: own / handler, atLeast: 0.95, aim: 1.2 },
    ],
  }
}

/** From nothing to the first answer. */
async function startPart(progress: Progress, ours: Start, { path }: BenchModel): Promise<Part> {
  const times = { ours: [] as number[], fastapi: [] as number[] }
  const firstAnswer = async (
    start: Promise<Server>,
    route: string,
    { headers, body }: Body,
    began: number,
  ): Promise<number> => {
    const server = await start
    const answer = await fetch(server.url + route, { method: 'POST', headers, body: new Uint8Array(body) })
    if (answer.status !== 200) throw new Error(`${route}: ${answer.status}`)
    await answer.arrayBuffer()
    const ms = performance.now() - began
    await server.stop()
    return ms
  }
  for (let round = 0; round < ROUNDS; round++) {
    progress(`cold start, round ${round + 1} of ${ROUNDS}`)
    times.ours.push(await firstAnswer(ours(), '/v2/models/dense/infer', json(DENSE), performance.now()))
    const peer = startFastApi({ model: path, workers: 1, threads: 1 })
    times.fastapi.push(await firstAnswer(peer, '/json', json(DENSE), performance.now()))
  }
  return {
    rows: Object.entries(times).map(([server, values]) => ({ case: 'cold start', server, ms: median(values) })),
    checks: [{ id: 'cold-start-to-fastapi', value: median(times.ours) / median(times.fastapi), atMost: 1, aim: 0.5 }],
  }
}

async function switchPart(progress: Progress, ours: Start, args: readonly string[]): Promise<Part> {
  const at = args.indexOf('--switches')
  const switches = at < 0 ? 1000 : Number(args[at + 1])
  progress(`${switches} switches under load`)
  const server = await ours()
  const result = await switching(server, `${server.url}/v2/models/dense/infer`, json(DENSE), switches)
  await server.stop()
  return {
    rows: [{ case: 'switches', ...result }],
    checks: [
      { id: 'switch-failed-requests', value: result.failed, atMost: 0 },
      { id: 'switch-memory-growth', value: result.growth - 1, atMost: 0.05, aim: 0 },
    ],
  }
}
