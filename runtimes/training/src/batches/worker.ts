import { parentPort, workerData } from 'node:worker_threads'
import { Assembler, epochRows, type Recipe, type Source } from './assembler.js'
import { plan } from './plan.js'
import { Ring, type RingMemory } from './ring.js'

/** What a worker is started with. */
export interface WorkerTask {
  readonly source: Source
  readonly recipe: Recipe
  readonly memory: RingMemory
  readonly epoch: number
  /** This worker makes the parts `worker`, `worker + workers`, ... of each epoch. */
  readonly worker: number
  readonly workers: number
}

/** A worker thread's program: makes parts of one epoch after the other, as far ahead as the ring is long, until ended. */
function work({ source, recipe, memory, epoch: first, worker, workers }: WorkerTask): never {
  const ring = new Ring(memory)
  const assembler = new Assembler(source, recipe)
  const parts = plan(epochRows(source, recipe), recipe.batchSize, recipe.stepsARun)
  const width = source.inputs.length / source.rows
  for (let epoch = first; ; epoch++) {
    for (let place = worker; place < parts.length; place += workers) {
      const { rows, steps, begin } = parts[place] as (typeof parts)[number]
      const { inputs, targets } = ring.free()
      const targetWidth = targets.length / (inputs.length / width)
      for (let step = 0; step < steps; step++)
        assembler.fill(
          epoch,
          begin + step * rows,
          rows,
          inputs.subarray(step * rows * width),
          targets.subarray(step * rows * targetWidth),
        )
      if (ring.made()) parentPort?.postMessage('made')
    }
  }
}

work(workerData as WorkerTask)
