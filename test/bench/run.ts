import { cpus, totalmem } from 'node:os'
import type { Bench, BenchCheck, BenchResult } from './result.js'

/** `npm run bench -- NAME [--json] [more]`: runs one benchmark; exits 1 when a check does not hold. */
const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  train: async () => (await import('./train/index.js')).train,
  quantize: async () => (await import('./quantize/index.js')).quantize,
  serve: async () => (await import('./serve/index.js')).serve,
  runtimes: async () => (await import('./runtimes/index.js')).runtimes,
  quickstart: async () => (await import('./quickstart.js')).quickstart,
  update: async () => (await import('./update.js')).update,
  abtest: async () => (await import('./abtest.js')).abtest,
}

function holds(check: BenchCheck): boolean {
  if (!Number.isFinite(check.value)) return false
  return check.value >= (check.atLeast ?? -Infinity) && check.value <= (check.atMost ?? Infinity)
}

function machine(): BenchResult['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  }
}

const [name, ...args] = process.argv.slice(2)
const load = name === undefined ? undefined : benches[name]
if (!load) {
  console.error(`usage: npm run bench -- NAME [--json], where NAME is one of: ${Object.keys(benches).join(', ')}`)
  process.exit(2)
}
const bench = await load()
const measured = await bench((line) => console.error(line), args)
const result: BenchResult = { bench: name ?? '', machine: machine(), ...measured }
if (args.includes('--json')) console.log(JSON.stringify(result))
else {
  console.table(result.rows)
  console.table(result.checks.map((check) => ({ ...check, holds: holds(check) })))
}
process.exit(result.checks.every(holds) ? 0 : 1)
