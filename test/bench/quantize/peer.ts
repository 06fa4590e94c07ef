import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Tensor } from '@tideway/core'
import { isInstalled } from '../train/python.js'

const run = promisify(execFile)
const python = process.env['TIDEWAY_PYTHON'] ?? 'python3'
const script = fileURLToPath(new URL('../../../bench/quantize/peers/quantize_static.py', import.meta.url))

/** A way to call quantize_static; scales per channel, uint8 activations and int8 weights in all of them. */
export interface PeerWay {
  readonly format: 'QDQ' | 'QOperator'
  readonly method: 'MinMax' | 'Entropy' | 'Percentile'
  /** Weights in 7 bits: what its documentation asks for where a processor saturates. */
  readonly reduceRange: boolean
}

export interface PeerFile {
  readonly onnx: Uint8Array
  readonly seconds: number
  readonly way: PeerWay
}

export const peerIsInstalled = async (): Promise<boolean> =>
  (await isInstalled({ module: 'onnxruntime', script, variants: [] })) &&
  (await isInstalled({ module: 'onnx', script, variants: [] }))

/** What ONNX Runtime's Python `quantize_static` makes of a model and calibration rows, in each way. */
export async function quantizeWithPeer(
  model: Uint8Array,
  input: string,
  rows: Tensor,
  ways: readonly PeerWay[],
): Promise<{ readonly version: string; readonly files: readonly PeerFile[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-quantize-'))
  try {
    const { buffer, byteOffset, byteLength } = rows.data as Float32Array
    await Promise.all([
      writeFile(join(folder, 'model.onnx'), model),
      writeFile(join(folder, 'rows.f32'), new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)),
      writeFile(join(folder, 'plan.json'), JSON.stringify({ input, shape: rows.shape, ways })),
    ])
    const { stdout } = await run(python, [script, folder], { maxBuffer: 16 * 1024 * 1024 })
    const line = stdout.trim().split('\n').at(-1) ?? ''
    const said = JSON.parse(line) as { version: string; made: { path: string; seconds: number; way: PeerWay }[] }
    const files = await Promise.all(
      said.made.map(async ({ path, seconds, way }) => ({ onnx: new Uint8Array(await readFile(path)), seconds, way })),
    )
    return { version: said.version, files }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
