import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { NetworkJob, TrainData } from '@tideway/core'
import { initialParameters, parameterShapes, shuffledRows } from '@tideway/training'
import type { Outcome } from './outcome.js'

const run = promisify(execFile)
/** Python with the peers' packages; TIDEWAY_PYTHON names another than `python3`. */
const python = process.env['TIDEWAY_PYTHON'] ?? 'python3'
const script = (name: string): string => fileURLToPath(new URL(`../../../bench/train/peers/${name}`, import.meta.url))

/** A peer, and the ways to run it; the fastest one counts. */
export interface Peer {
  readonly module: string
  readonly script: string
  readonly variants: readonly string[]
  readonly networks?: readonly string[]
}

export const peers: Readonly<Record<string, Peer>> = {
  pytorch: { module: 'torch', script: 'pytorch.py', variants: ['eager', 'compiled', 'channels_last'] },
  tensorflow: { module: 'tensorflow', script: 'tensorflow.py', variants: ['plain', 'xla', 'train_on_batch'] },
  numpy: { module: 'numpy', script: 'numpy_loop.py', variants: ['plain'], networks: ['dense'] },
}

/** Whether Python has a module. */
export async function isInstalled({ module }: Peer): Promise<boolean> {
  return run(python, [
    '-c',
    `import importlib.util, sys; sys.exit(importlib.util.find_spec("${module}") is None)`,
  ]).then(
    () => true,
    () => false,
  )
}

/** A folder with everything that a peer takes: the same rows, initial weights and order of rows as ours. */
export async function writePlan(
  name: string,
  job: NetworkJob,
  data: TrainData,
  options: { readonly classes: number; readonly threads: number },
): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-bench-'))
  const rows = data.inputs.shape[0] ?? 0
  const values = initialParameters(job)
  const shapes = parameterShapes(job)
  const weights = Object.entries(values).map(([parameter]) => ({ name: parameter, shape: shapes[parameter] }))
  const plan = {
    network: name,
    batch: job.batchSize,
    epochs: job.epochs,
    rows,
    shape: data.inputs.shape.slice(1),
    learningRate: job.optimizer.learningRate,
    ...options,
    weights,
  }
  const orders = Array.from({ length: job.epochs }, (_, epoch) => shuffledRows(rows, job.seed, epoch))
  const bytes = (arrays: readonly NodeJS.TypedArray[]): Buffer =>
    Buffer.concat(arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)))
  await Promise.all([
    writeFile(join(folder, 'plan.json'), JSON.stringify(plan)),
    writeFile(join(folder, 'inputs.f32'), bytes([data.inputs.data as Float32Array])),
    writeFile(join(folder, 'targets.i32'), bytes([data.targets.data as Int32Array])),
    writeFile(join(folder, 'orders.u32'), bytes(orders)),
    writeFile(join(folder, 'weights.f32'), bytes(Object.values(values))),
  ])
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Runs a peer one way on a plan. Throws with what it wrote when it fails. */
export async function trainOnPeer(peer: Peer, variant: string, folder: string, threads: number): Promise<Outcome> {
  const count = String(threads)
  const env = { ...process.env, OMP_NUM_THREADS: count, MKL_NUM_THREADS: count, OPENBLAS_NUM_THREADS: count }
  const { stdout } = await run(python, [script(peer.script), folder, variant], { env, maxBuffer: 16 * 1024 * 1024 })
  const line = stdout.trim().split('\n').at(-1) ?? ''
  const said = JSON.parse(line) as {
    samplesPerSecond: number
    finalLoss: number
    threads: number
    version: string
    blas: string
  }
  return { ...said, engineVersion: `${said.version} (${said.blas}; ${variant})` }
}
