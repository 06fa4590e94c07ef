import type { Tensors } from '@tideway/core'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import type { BenchCheck, BenchRow } from '../result.js'
import { CALIBRATION_ROWS, median, type Options } from './accuracy.js'
import { type NetworkName, rowsOf, trainedBriefly } from './models.js'
import { type PeerFile, type PeerWay, quantizeWithPeer } from './peer.js'

/** Least and aimed at: file bytes of float over int8. */
const RATIOS: Readonly<Record<NetworkName, readonly [atLeast: number, aim: number]>> = {
  'auto-encoder': [3.5, 3.7],
  'resnet-8': [3.3, 3.6],
  conv: [3, 3.4],
  'ds-cnn': [2.1, 2.7],
}

/** The peer's smallest file and its fastest one count. */
const WAYS: readonly PeerWay[] = (['QDQ', 'QOperator'] as const).map((format) => ({
  format,
  method: 'MinMax',
  reduceRange: true,
}))

/**
 * Sizes of files and how long a run of one row takes, on one thread: the float file, ours and the peer's take turns.
 * Ours is `fastest`; its other forms are shown beside it.
 */
export async function filesAndLatency({
  hasPeer,
  folder,
  progress,
}: Options): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const network of Object.keys(RATIOS) as NetworkName[]) {
    const { onnx, validation } = await trainedBriefly(network, folder)
    const { inputs } = rowsOf(validation, 0, CALIBRATION_ROWS)
    const files = new Map<string, Uint8Array>([['float', onnx]])
    let seconds = Number.NaN
    for (const form of ['qdq', 'operators', 'stored', 'fastest'] as const) {
      const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
      const begin = performance.now()
      const made = await createInt8Quantizer({ form }).quantize(onnx, { x: inputs }, runtime, { precision: 'int8' })
      if (form === 'qdq') seconds = (performance.now() - begin) / 1000
      files.set(form, made.onnx)
    }
    const peer = hasPeer ? (await quantizeWithPeer(onnx, 'x', inputs, WAYS)).files : []
    for (const file of peer) files.set(nameOf(file), file.onnx)
    const times = await latencies(files, { x: rowsOf(validation, 0, 1).inputs })
    for (const [file, bytes] of files) {
      rows.push({ part: 'files', network, file, bytes: bytes.length, microseconds: times.get(file) ?? null })
      progress(`${network}, ${file}: ${bytes.length} bytes, ${times.get(file)} µs`)
    }
    rows.push({ part: 'files', network, file: 'qdq', calibrationRows: CALIBRATION_ROWS, seconds })
    checks.push(...checksOf(network, files, times, peer))
    if (network === 'resnet-8') checks.push({ id: 'resnet-8-seconds', value: seconds, atMost: 30, aim: 5 })
  }
  return { rows, checks }
}

const nameOf = ({ way }: PeerFile): string => `quantize_static ${way.format}`

function checksOf(
  network: NetworkName,
  files: ReadonlyMap<string, Uint8Array>,
  times: ReadonlyMap<string, number>,
  peer: readonly PeerFile[],
): BenchCheck[] {
  const size = (file: string): number => files.get(file)?.length ?? Number.NaN
  const time = (file: string): number => times.get(file) ?? Number.NaN
  const [atLeast, aim] = RATIOS[network]
  const smallest = Math.min(...peer.map(({ onnx }) => onnx.length))
  const fastest = Math.min(...peer.map((file) => time(nameOf(file))))
  const checks: BenchCheck[] = [
    { id: `${network}-float-to-int8-bytes`, value: size('float') / size('fastest'), atLeast, aim },
  ]
  if (peer.length > 0)
    checks.push({ id: `${network}-bytes-to-peer`, value: size('fastest') / smallest, atMost: 1, aim: 0.85 })
  if (network === 'auto-encoder') return checks
  checks.push({ id: `${network}-latency-to-float`, value: time('fastest') / time('float'), atMost: 1, aim: 0.6 })
  if (peer.length > 0)
    checks.push({ id: `${network}-latency-to-peer`, value: time('fastest') / fastest, atMost: 1.05, aim: 0.9 })
  return checks
}

const ROUNDS = 15
const RUNS = 60

/** Per file, the median over rounds of a round's lower quartile, in microseconds. */
async function latencies(files: ReadonlyMap<string, Uint8Array>, inputs: Tensors): Promise<Map<string, number>> {
  const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
  const sessions = await Promise.all([...files].map(async ([name, file]) => [name, await runtime.load(file)] as const))
  const times = new Map(sessions.map(([name]) => [name, [] as number[]]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, session] of sessions) {
      const own: number[] = []
      for (let run = 0; run < RUNS; run++) {
        const begin = performance.now()
        await session.run(inputs)
        own.push((performance.now() - begin) * 1000)
      }
      own.sort((a, b) => a - b)
      times.get(name)?.push(own[Math.floor(RUNS / 4)] ?? Number.NaN)
    }
  }
  await Promise.all(sessions.map(([, session]) => session.dispose()))
  return new Map([...times].map(([name, list]) => [name, Math.round(10 * median(list)) / 10]))
}
