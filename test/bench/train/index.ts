import type { NetworkJob, TrainData } from '@tideway/core'
import { initialParameters, shuffledRows } from '@tideway/training'
import type { Bench, BenchCheck, BenchRow } from '../result.js'
import { digits } from './data.js'
import { digitsAccuracy } from './digits.js'
import { memoryGrowth } from './memory.js'
import { jobOf, networks } from './networks.js'
import { trainOnOnnx } from './onnx.js'
import type { Outcome } from './outcome.js'
import { isInstalled, peers, trainOnPeer, writePlan } from './python.js'
import { trainOnTfjs } from './tfjs.js'

/** For every engine. */
const THREADS = 2
/** Runs of every engine in each of its ways; only tfjs on its cpu backend, which takes minutes, has one. */
const ROUNDS = 3

const parts: Readonly<Record<string, Bench>> = {
  engines: (progress, args) => engines(progress, args),
  digits: (progress) => digitsAccuracy(progress, THREADS),
  memory: (progress) => memoryGrowth(progress),
}

/**
 * Engines against each other, the accuracy of the digits example, and memory. `--only NAME` runs one of these parts,
 * `--network NAME` one network of the engines.
 */
export const train: Bench = async (progress, args) => {
  const value = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
  const only = value('--network') === undefined ? value('--only') : 'engines'
  const chosen = Object.entries(parts).filter(([name]) => only === undefined || name === only)
  if (chosen.length === 0) throw new Error(`--only takes one of: ${Object.keys(parts).join(', ')}`)
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const [, part] of chosen) {
    const measured = await part(progress, args)
    rows.push(...measured.rows)
    checks.push(...measured.checks)
  }
  return { rows, checks }
}

interface Contender {
  readonly rounds: number
  readonly run: () => Promise<Outcome>
}

/**
 * Networks trained by each engine from the same weights on the same rows in the same order, on as many threads. Engines
 * take turns and each one's best run counts: other work on the machine only ever slows a run. Python's engines run when
 * they are installed (TIDEWAY_PYTHON), each in every way that it knows; tfjs trains the dense network only, as it has no
 * gradient kernels of convolutions on wasm and takes minutes for them on its cpu backend.
 */
const engines: Bench = async (progress, args) => {
  const only = args[args.indexOf('--network') + 1]
  const names = Object.keys(networks).filter((name) => !args.includes('--network') || name === only)
  const installed = new Map(
    await Promise.all(Object.entries(peers).map(async ([name, peer]) => [name, await isInstalled(peer)] as const)),
  )
  for (const [name, there] of installed) if (!there) progress(`${name}: left out, it is not installed`)
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const name of names) {
    const best = await compare(name, installed, progress)
    rows.push(...[...best].map(([engine, outcome]) => rowOf(name, engine, outcome)))
    checks.push(...checksOf(name, best))
  }
  return { rows, checks }
}

async function compare(
  name: string,
  installed: ReadonlyMap<string, boolean>,
  progress: (line: string) => void,
): Promise<Map<string, Outcome>> {
  const bench = networks[name]!
  const job = jobOf(bench)
  const data = await digits(bench.rows, job.network.input.shape, job.seed)
  const plan = await writePlan(name, job, data, { classes: bench.classes, threads: THREADS })
  try {
    const contenders = contendersOf(name, job, data, plan.folder, installed)
    const best = new Map<string, Outcome>()
    for (let round = 0; round < Math.max(...contenders.map(([, { rounds }]) => rounds)); round++)
      for (const [engine, { rounds, run }] of contenders) {
        if (round >= rounds) continue
        const outcome = await run().catch((error: unknown) => {
          progress(`${name}, ${engine}: failed: ${String(error).split('\n').slice(0, 3).join(' ')}`)
        })
        if (!outcome) continue
        progress(
          `${name}, ${engine}: ${Math.round(outcome.samplesPerSecond)} samples/s, loss ${outcome.finalLoss.toFixed(5)} (${outcome.engineVersion})`,
        )
        const known = best.get(engine)
        if (known === undefined || outcome.samplesPerSecond > known.samplesPerSecond) best.set(engine, outcome)
      }
    return best
  } finally {
    await plan.remove()
  }
}

function contendersOf(
  name: string,
  job: NetworkJob,
  data: TrainData,
  folder: string,
  installed: ReadonlyMap<string, boolean>,
): [engine: string, Contender][] {
  const python = Object.entries(peers)
    .filter(([engine, { networks: only }]) => installed.get(engine) === true && (only?.includes(name) ?? true))
    .flatMap(([engine, peer]) =>
      peer.variants.map((variant): [string, Contender] => [
        engine,
        { rounds: ROUNDS, run: () => trainOnPeer(peer, variant, folder, THREADS) },
      ]),
    )
  const tfjs = (backend: 'wasm' | 'cpu'): [string, Contender] => [
    `tfjs-${backend}`,
    { rounds: backend === 'wasm' ? ROUNDS : 1, run: () => trainOnTfjs(backend, tfjsPlan(job, data)) },
  ]
  return [
    ['onnx', { rounds: ROUNDS, run: () => trainOnOnnx(job, data, THREADS) }],
    ...(name === 'dense' ? [tfjs('wasm'), tfjs('cpu')] : []),
    ...python,
  ]
}

const tfjsPlan = (job: NetworkJob, data: TrainData) => ({
  inputs: data.inputs.data as Float32Array,
  targets: data.targets.data as Int32Array,
  width: 784,
  classes: 10,
  batch: job.batchSize,
  learningRate: Number(job.optimizer.learningRate),
  threads: THREADS,
  weights: initialParameters(job),
  orders: Array.from({ length: job.epochs }, (_, epoch) => shuffledRows(data.inputs.shape[0] ?? 0, job.seed, epoch)),
})

const rowOf = (network: string, engine: string, outcome: Outcome): BenchRow => ({
  network,
  engine,
  batch: jobOf(networks[network]!).batchSize,
  threads: outcome.threads,
  samplesPerSecond: Math.round(outcome.samplesPerSecond),
  finalLoss: outcome.finalLoss,
  version: outcome.engineVersion,
})

/** Ratios to tfjs on wasm and to the fastest of Python's engines, and how far final losses lie apart. */
function checksOf(name: string, best: ReadonlyMap<string, Outcome>): BenchCheck[] {
  const ours = best.get('onnx')?.samplesPerSecond ?? Number.NaN
  const wasm = best.get('tfjs-wasm')?.samplesPerSecond
  const python = Object.keys(peers).flatMap((peer) => best.get(peer)?.samplesPerSecond ?? [])
  const losses = [...best.values()].map((outcome) => outcome.finalLoss)
  return [
    ...(wasm === undefined ? [] : [{ id: `${name}-to-tfjs-wasm`, value: ours / wasm, atLeast: 15, aim: 25 }]),
    ...(python.length === 0
      ? []
      : [
          {
            id: `${name}-to-fastest-peer`,
            value: ours / Math.max(...python),
            atLeast: name === 'dense' ? 0.8 : 0.7,
            aim: 1.2,
          },
        ]),
    { id: `${name}-final-loss-spread`, value: Math.max(...losses) / Math.min(...losses) - 1, atMost: 0.05 },
  ]
}
