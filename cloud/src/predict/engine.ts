import { createHash } from 'node:crypto'
import type { Columns, Signature, Tensors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { modelBytes, naming } from '../config/model-file.js'
import { fixedRows, rowCount } from '../quantize/batches.js'
import { Batcher } from '../serving/batcher.js'
import { answersRowsAlone } from '../serving/independent.js'
import { joined, split } from '../serving/rows.js'
import { tellsClasses } from './classes.js'

/** What answers rows: a model on this machine, or one in a cloud. */
export interface Engine {
  readonly signature: Signature
  /** What it is: the SHA-256 of the model's file, or the digest of the version. */
  readonly digest: string
  /** Names of the classes, empty where they have none; undefined for a model that tells none apart, as far as is known. */
  readonly classes?: readonly string[] | undefined
  /** Names of the columns that it was trained with, and what they are. */
  readonly features?: readonly string[] | undefined
  readonly schema?: Columns | undefined
  /** How many calls at once keep it busy. */
  readonly atOnce: number
  /** Answers rows, however many its runs take. Throws what a run throws. */
  run(inputs: Tensors): Promise<Tensors>
  dispose(): Promise<void>
}

export interface LocalOptions {
  /** Of one operator. The same number gives the same bits. */
  readonly threads: number
  /** Rows of one run at most. */
  readonly batchRows: number
}

/**
 * A model's file on this machine, behind the batcher that serves requests. Where answers depend on the rows that they are
 * with, each row is run alone. Throws `FILE_NOT_LOADED`, `MODEL_INVALID`.
 */
export async function localEngine(file: string, { threads, batchRows }: LocalOptions): Promise<Engine> {
  const bytes = await modelBytes(file)
  const session = await createOnnxNodeRuntime()
    .load(bytes, { intraOpThreads: threads })
    .catch((error: unknown) => {
      throw naming(file, error)
    })
  const { signature } = session
  const together = await answersRowsAlone(session)
  const fixed = fixedRows(signature)
  // Each call is one run, so that which rows go together does not depend on when they come.
  const options = {
    maxRows: batchRows,
    maxDelayMs: 0,
    maxQueuedRows: Number.POSITIVE_INFINITY,
    parallel: 1,
    together: false,
  }
  const batcher = new Batcher(session, options)
  const run = async (inputs: Tensors) => (await batcher.run(inputs)).outputs
  return {
    signature,
    digest: createHash('sha256').update(bytes).digest('hex'),
    classes: tellsClasses(bytes) ? [] : undefined,
    // Runs are on this thread: more of them at once would only wait.
    atOnce: 2,
    run: (inputs) => inRuns(inputs, fixed ?? (together ? batchRows : 1), fixed !== undefined, run),
    dispose: () => batcher.dispose(),
  }
}

/**
 * Rows in runs of `size`, and their answers as one. With `isFixed` the last run is filled up with the last row, whose answers are
 * dropped. An answer that is not one to each row is given as it is where there is one run.
 */
export async function inRuns(
  inputs: Tensors,
  size: number,
  isFixed: boolean,
  run: (inputs: Tensors) => Promise<Tensors>,
): Promise<Tensors> {
  const rows = rowCount(inputs)
  if (rows <= size && !isFixed) return run(inputs)
  const counts = Array.from({ length: Math.ceil(rows / size) }, (_, at) => Math.min(size, rows - at * size))
  const answers: Tensors[] = []
  for (const [at, part] of (split(inputs, counts) ?? []).entries()) {
    const count = counts[at] as number
    const missing = isFixed ? size - count : 0
    const last = split(part, [count - 1, 1])?.[1] as Tensors
    const outputs = await run(joined([part, ...Array<Tensors>(missing).fill(last)]))
    const own = missing === 0 ? outputs : split(outputs, [count, missing])?.[0]
    answers.push(own ?? outputs)
  }
  return joined(answers)
}
