import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BenchCheck, BenchRow } from '../result.js'
import type { MemoryFigures } from './memory-child.js'

const child = fileURLToPath(new URL('./memory-child.js', import.meta.url))
const MIB = 2 ** 20

/**
 * How far resident memory grows when a dense network 1024-4096-4096-10 is trained with Adam, its model and checkpoint
 * written, against what it has to have: parameters, gradients, optimizer state and activations of a batch, 4 bytes each.
 * Idle is a process that has loaded the packages. Once as `fit` does it alone, once with a checkpoint after each epoch.
 */
export async function memoryGrowth(
  progress: (line: string) => void,
): Promise<{ readonly rows: BenchRow[]; readonly checks: BenchCheck[] }> {
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const checkpoints of [false, true]) {
    const { idle, peak, own, finalLoss } = await measured(checkpoints ? ['--checkpoints'] : [])
    const growth = (peak - idle) / own
    const id = checkpoints ? 'memory-growth-with-checkpoints' : 'memory-growth'
    progress(`${id}: ${growth.toFixed(2)} times ${Math.round(own / MIB)} MiB`)
    rows.push({ memory: id, engine: 'onnx', idleMiB: idle / MIB, peakMiB: peak / MIB, ownMiB: own / MIB, finalLoss })
    checks.push({ id, value: growth, atMost: 2, aim: checkpoints ? 2 : 1.3 })
  }
  return { rows, checks }
}

async function measured(args: readonly string[]): Promise<MemoryFigures> {
  const process = fork(child, args)
  const exited = once(process, 'exit')
  const figures = await Promise.race([
    once(process, 'message').then(([message]) => message as MemoryFigures),
    exited.then(([code]) => {
      throw new Error(`the process that measures memory exited with ${String(code)}`)
    }),
  ])
  await exited
  return figures
}
