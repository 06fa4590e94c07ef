import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Bench, BenchRow } from './result.js'

const bin = fileURLToPath(new URL('../../../cloud/dist/bin.js', import.meta.url))

interface Device {
  readonly driftFlagged: boolean
  readonly driftScore: number
  readonly errors: number
}

interface Result {
  readonly accuracy: { readonly fp32: number; readonly int8: number }
  readonly bytes: { readonly fp32: number; readonly int8: number }
  readonly devices: readonly Device[]
  readonly train: { readonly samplesPerSecond: number }
  readonly seconds: number
  readonly failures: readonly string[]
}

/**
 * The quickstart over and over, a new seed and a new directory each time: is the drift verdict right every time, with a
 * dirty lens and without one? `--dirty N` (default 10) and `--clean N` (default 50) runs.
 */
export const quickstart: Bench = async (progress, args) => {
  const count = (name: string, fallback: number) => {
    const at = args.indexOf(name)
    return at < 0 ? fallback : Number(args[at + 1])
  }
  const plans = [
    ...Array.from({ length: count('--dirty', 10) }, (_, i) => ({ lens: 'dirty', seed: 1 + i })),
    ...Array.from({ length: count('--clean', 50) }, (_, i) => ({ lens: 'clean', seed: 101 + i })),
  ]
  const rows: BenchRow[] = []
  for (const { lens, seed } of plans) {
    const result = await runOnce(seed, lens === 'dirty')
    const { accuracy, bytes, devices, seconds, train } = result
    rows.push({
      lens,
      seed,
      fp32: accuracy.fp32,
      int8: accuracy.int8,
      sizeRatio: bytes.fp32 / bytes.int8,
      flagged: devices.map(({ driftFlagged }) => (driftFlagged ? 'x' : '-')).join(''),
      highestCleanScore: Math.max(
        ...devices.slice(0, lens === 'dirty' ? -1 : undefined).map(({ driftScore }) => driftScore),
      ),
      lastScore: devices.at(-1)?.driftScore ?? Number.NaN,
      errors: devices.reduce((sum, device) => sum + device.errors, 0),
      samplesPerSecond: Math.round(train.samplesPerSecond),
      seconds,
      failures: result.failures.join('; '),
    })
    progress(JSON.stringify(rows.at(-1)))
  }
  const of = (lens: string) => rows.filter((row) => row.lens === lens)
  const right = (lens: string, flagged: string) => of(lens).filter((row) => row.flagged === flagged).length
  const numbers = (name: string) => rows.map((row) => Number(row[name]))
  return {
    rows,
    checks: [
      { id: 'only-the-dirty-lens-flagged', value: right('dirty', '--x') / Math.max(1, of('dirty').length), atLeast: 1 },
      { id: 'none-flagged-without', value: right('clean', '---') / Math.max(1, of('clean').length), atLeast: 1 },
      { id: 'least-fp32-accuracy', value: Math.min(...numbers('fp32')), atLeast: 0.94 },
      {
        id: 'most-accuracy-lost',
        value: Math.max(...rows.map((row) => Number(row.fp32) - Number(row.int8))),
        atMost: 0.005,
      },
      { id: 'least-size-ratio', value: Math.min(...numbers('sizeRatio')), atLeast: 3.5 },
      { id: 'errors', value: Math.max(...numbers('errors')), atMost: 0 },
      { id: 'most-seconds', value: Math.max(...numbers('seconds')), atMost: 120 },
    ],
  }
}

async function runOnce(seed: number, dirty: boolean): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-quickstart-'))
  const args = [
    bin,
    'quickstart',
    '--json',
    '--seed',
    String(seed),
    '--dir',
    dir,
    ...(dirty ? [] : ['--no-dirty-lens']),
  ]
  try {
    const output = await promisify(execFile)(process.execPath, args).catch(
      (error: { stdout?: string; message: string }) => {
        // A run whose checks failed still prints its result; one that broke does not.
        if (!error.stdout?.includes('"devices"')) throw new Error(error.message)
        return { stdout: error.stdout }
      },
    )
    return JSON.parse(
      output.stdout
        .trim()
        .split('\n')
        .find((line) => line.includes('"devices"')) ?? '',
    ) as Result
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
