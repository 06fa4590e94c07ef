import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { digits } from '../train/data.js'
import { type BenchNetwork, jobOf, networks } from '../train/networks.js'

/** A file that processes load, and the rows that it is asked with. */
export interface BenchModel {
  readonly name: string
  readonly path: string
  /** Of one row. */
  readonly shape: readonly number[]
  /** Rows in one run. */
  readonly batch: number
  readonly bytes: number
}

const NETWORKS = ['dense', 'conv', 'resnet-8']
const ROWS = 256
/** Of the dense network, whose single row takes some 10 µs. */
const LARGER_BATCH = 32

/** Each network in float and in int8, trained for a moment: what counts is how long a run takes. */
export async function withModels<T>(
  work: (models: readonly BenchModel[]) => Promise<T>,
  wanted: readonly string[] = NETWORKS,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-runtimes-'))
  try {
    const models: BenchModel[] = []
    for (const network of wanted) {
      const { network: config, rows } = networks[network] as BenchNetwork
      const { shape } = config.input
      const train = await digits(Math.min(ROWS, rows), shape, 1)
      const job = { ...jobOf(networks[network] as BenchNetwork), epochs: 1 }
      const float = (await createOnnxTrainer({ threads: 1 }).fit(job, { train })).onnx
      const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
      const rowsOfInput = { x: train.inputs }
      const int8 = await createInt8Quantizer().quantize(float, rowsOfInput, runtime, { precision: 'int8' })
      for (const [precision, onnx] of [
        ['fp32', float],
        ['int8', int8.onnx],
      ] as const) {
        const name = `${network}-${precision}`
        const path = join(folder, `${name}.onnx`)
        await writeFile(path, onnx)
        models.push({ name, path, shape, batch: 1, bytes: onnx.length })
        if (network === 'dense')
          models.push({ name: `${name}-x${LARGER_BATCH}`, path, shape, batch: LARGER_BATCH, bytes: onnx.length })
      }
    }
    return await work(models)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
