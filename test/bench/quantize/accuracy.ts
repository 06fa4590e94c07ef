import { evaluate } from '@tideway/cloud'
import type { TrainData } from '@tideway/core'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import type { BenchCheck, BenchRow } from '../result.js'
import { type NetworkName, rowsOf, trainedOnDigits } from './models.js'
import { type PeerWay, quantizeWithPeer } from './peer.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

const SEEDS = [1, 2, 3, 4, 5]
const NETWORKS: readonly NetworkName[] = ['conv', 'ds-cnn', 'resnet-8']
export const CALIBRATION_ROWS = 256

/** The peer's ways; of each model the one that is best on the validation rows counts. */
const WAYS: readonly PeerWay[] = (['MinMax', 'Percentile'] as const).flatMap((method) =>
  [true, false].map((reduceRange) => ({ format: 'QDQ' as const, method, reduceRange })),
)

export interface Options {
  readonly hasPeer: boolean
  readonly folder: string | undefined
  readonly progress: (line: string) => void
}

/**
 * Accuracy on 2,000 digits that were held out, before and after, with 256 validation rows to calibrate on; the peer has
 * the same, and its best way by accuracy on all 1,000 validation rows.
 */
export async function accuracyLost({
  hasPeer,
  folder,
  progress,
}: Options): Promise<{ rows: BenchRow[]; checks: BenchCheck[] }> {
  const rows: BenchRow[] = []
  for (const network of NETWORKS) {
    for (const seed of SEEDS) {
      const { onnx, validation, test } = await trainedOnDigits(network, seed, folder)
      const calibration = rowsOf(validation, 0, CALIBRATION_ROWS).inputs
      const begin = performance.now()
      const made = await createInt8Quantizer().quantize(onnx, { x: calibration }, runtime, {
        precision: 'int8',
      })
      const seconds = (performance.now() - begin) / 1000
      const [float, ours] = [await accuracyOf(onnx, test), await accuracyOf(made.onnx, test)]
      const peer = hasPeer ? await bestPeer(onnx, calibration, validation, test) : undefined
      progress(`${network}, seed ${seed}: float ${float}, int8 ${ours}, peer ${peer?.accuracy ?? 'none'}`)
      rows.push({
        part: 'accuracy',
        network,
        seed,
        float,
        int8: ours,
        pointsLost: points(float - ours),
        peer: peer?.accuracy ?? null,
        peerPointsLost: peer === undefined ? null : points(float - peer.accuracy),
        peerWay: peer?.way ?? null,
        seconds,
      })
    }
  }
  return {
    rows,
    checks: NETWORKS.flatMap((network) =>
      checksOf(
        network,
        rows.filter((row) => row['network'] === network),
      ),
    ),
  }
}

/** Hundredths of a point, so that a sum of rounding errors is none. */
const points = (share: number): number => Math.round(share * 10_000) / 100

async function accuracyOf(onnx: Uint8Array, part: TrainData): Promise<number> {
  const session = await createOnnxNodeRuntime().load(onnx)
  try {
    return (await evaluate(session, part as Parameters<typeof evaluate>[1])).accuracy ?? Number.NaN
  } finally {
    await session.dispose()
  }
}

async function bestPeer(onnx: Uint8Array, calibration: TrainData['inputs'], validation: TrainData, test: TrainData) {
  const { files } = await quantizeWithPeer(onnx, 'x', calibration, WAYS)
  let best: { file: (typeof files)[number]; score: number } | undefined
  for (const file of files) {
    const score = await accuracyOf(file.onnx, validation)
    if (best === undefined || score > best.score) best = { file, score }
  }
  if (best === undefined) return undefined
  const { method, reduceRange } = best.file.way
  return { accuracy: await accuracyOf(best.file.onnx, test), way: `${method}${reduceRange ? ', 7 bits' : ''}` }
}

function checksOf(network: string, rows: readonly BenchRow[]): BenchCheck[] {
  const lost = median(rows.map((row) => Number(row['pointsLost'])))
  const ahead = rows.flatMap((row) => (row['peer'] === null ? [] : [points(Number(row['int8']) - Number(row['peer']))]))
  return [
    { id: `${network}-points-lost`, value: lost, atMost: 0.5, aim: 0.1 },
    ...(ahead.length === 0
      ? []
      : [{ id: `${network}-points-ahead-of-peer-at-worst`, value: Math.min(...ahead), atLeast: -0.5, aim: 0 }]),
  ]
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
