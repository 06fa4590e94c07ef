import { hostname } from 'node:os'
import { createClient } from '@tideway/client'
import { createQuantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer, inOrder } from '@tideway/trainer-onnx'
import { connectJobQueue } from '@tideway/transport-nats'
import { createLogger } from '../config/logger.js'
import { print } from '../view/print.js'
import { startTrainerNode } from './node.js'

/** As the command line gives them. */
export interface TrainerOptions {
  readonly nats: string
  readonly cloud: string
  readonly name?: string
  /** Seconds. */
  readonly ackWait: number
  readonly checkpointEvery: number
  /** Execution providers in the order in which they are tried; left out: the CPU. */
  readonly provider?: readonly string[]
  readonly json?: boolean
}

/** A trainer node as a process of its own, until SIGINT or SIGTERM: then its job is handed back. */
export async function runTrainer(options: TrainerOptions): Promise<void> {
  const apiKey = process.env.TIDEWAY_API_KEY
  const logger = createLogger('tideway-trainer')
  const trainer = createOnnxTrainer(
    inOrder(options.provider ?? ['cpu'], ({ from, to, error }) =>
      logger.warn('training provider not used', { provider: from, next: to, reason: error.message }),
    ),
  )
  const ackWaitMs = options.ackWait * 1_000
  const queue = await connectJobQueue({ url: options.nats, ackWaitMs, logger })
  const name = options.name ?? `${hostname()}-${process.pid}`
  const stop = await startTrainerNode({
    name,
    queue,
    client: createClient({ url: options.cloud, ...(apiKey !== undefined && { apiKey }) }),
    trainer,
    quantizer: createQuantizer(),
    runtime: createOnnxNodeRuntime(),
    logger,
    ackWaitMs,
    checkpointEveryMs: options.checkpointEvery * 1_000,
  })
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  print(options.json, { ready: true, pid: process.pid, name }, () =>
    [`Trainer ${name} takes jobs of ${options.cloud}`, '  Ctrl-C hands its job back and stops it'].join('\n'),
  )
  await stopped
  await stop()
  await queue.close()
}
