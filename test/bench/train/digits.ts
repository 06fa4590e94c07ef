import { evaluate, splitDataset } from '@tideway/cloud'
import { type PipelineConfig, resolvePipeline } from '@tideway/core'
import { convPipeline } from '@tideway/example-digits'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import type { BenchCheck, BenchRow } from '../result.js'

const SEEDS = [1, 2, 3, 4, 5]
/** Of the split: the same 2,000 rows are held out for every seed of training. */
const SPLIT_SEED = 1

/**
 * The convolutional pipeline of the example, as it stands there, once per seed; seconds are the whole of `fit`, accuracy
 * is that of the shipped ONNX file on the rows held out, in the runtime.
 */
export async function digitsAccuracy(
  progress: (line: string) => void,
  threads: number,
): Promise<{ readonly rows: BenchRow[]; readonly checks: BenchCheck[] }> {
  const dataset = await convPipeline.data({})
  // Nothing is uploaded, so the data has no digest.
  const data = { sha256: '0'.repeat(64), size: 1 }
  const rows: BenchRow[] = []
  for (const seed of SEEDS) {
    const spec = resolvePipeline(convPipeline as PipelineConfig, { dataset, data, seed, splitSeed: SPLIT_SEED })
    const parts = splitDataset(dataset, spec.split)
    const [begin, cpu] = [performance.now(), process.cpuUsage()]
    const trained = await createOnnxTrainer({ threads }).fit(spec, { train: parts.train, validation: parts.validation })
    const seconds = (performance.now() - begin) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const session = await createOnnxNodeRuntime().load(trained.onnx)
    const { accuracy = Number.NaN } = await evaluate(session, parts.test)
    await session.dispose()
    progress(`digits-conv, seed ${seed}: accuracy ${accuracy}, ${seconds.toFixed(1)} s`)
    rows.push({
      network: 'digits-conv',
      engine: 'onnx',
      threads,
      seed,
      accuracy,
      seconds,
      cpuSeconds: (user + system) / 1e6,
      samplesPerSecond: Math.round(trained.samplesPerSecond),
    })
  }
  const medianOf = (name: string): number => median(rows.map((row) => Number(row[name])))
  return {
    rows,
    checks: [
      { id: 'digits-conv-accuracy', value: medianOf('accuracy'), atLeast: 0.983, aim: 0.99 },
      { id: 'digits-conv-seconds', value: medianOf('seconds'), atMost: 90, aim: 45 },
    ],
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
