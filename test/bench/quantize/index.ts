import type { Bench, BenchCheck, BenchRow } from '../result.js'
import { accuracyLost, type Options } from './accuracy.js'
import { awareRecovers } from './aware.js'
import { filesAndLatency } from './files.js'
import { peerIsInstalled } from './peer.js'

type Measured = { readonly rows: BenchRow[]; readonly checks: BenchCheck[] }

/** Each part stands alone. */
const parts: Readonly<Record<string, (options: Options) => Promise<Measured>>> = {
  files: filesAndLatency,
  accuracy: accuracyLost,
  aware: awareRecovers,
}

/**
 * Static int8: file sizes, latency, time to quantize, and accuracy lost on digits, against the float model and against
 * `quantize_static` of ONNX Runtime's Python package, where that is installed (TIDEWAY_PYTHON); and weights of few bits
 * that were trained while they were rounded. `--only NAME` runs one part; `--keep FOLDER` keeps trained models there and takes them from there.
 */
export const quantize: Bench = async (progress, args) => {
  const value = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
  const only = value('--only')
  const chosen = Object.entries(parts).filter(([name]) => only === undefined || name === only)
  if (chosen.length === 0) throw new Error(`--only takes one of: ${Object.keys(parts).join(', ')}`)
  const hasPeer = await peerIsInstalled()
  if (!hasPeer) progress('quantize_static: left out, onnx and onnxruntime are not installed')
  const options: Options = { hasPeer, folder: value('--keep'), progress }
  const rows: BenchRow[] = []
  const checks: BenchCheck[] = []
  for (const [, part] of chosen) {
    const measured = await part(options)
    rows.push(...measured.rows)
    checks.push(...measured.checks)
  }
  return { rows, checks }
}
