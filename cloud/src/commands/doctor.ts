import type { Command } from 'commander'
import { examineAll, type Finding } from '../doctor/examine.js'
import { type Machine, machineHere } from '../doctor/machine.js'
import { visible } from '../quantize/page/text.js'
import { table } from '../view/output.js'
import { print } from '../view/print.js'

export function addDoctor(command: Command): void {
  command
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Each engine runs a small network whose answer is known, and trains one where it trains, in a process of its own.

Exit codes: 0 at least one engine works; 1 none does; 70 a defect.`,
    )
    .action(async ({ json }: { readonly json?: boolean }) => {
      const machine = await machineHere()
      const engines = await examineAll(({ engine, provider }) =>
        process.stderr.write(`trying ${engine} on ${provider}\n`),
      )
      print(json, { machine, engines }, () => report(machine, engines))
      if (!engines.some(({ state }) => state === 'works')) process.exitCode = 1
    })
}

function report(machine: Machine, engines: readonly Finding[]): string {
  const { node, platform, cpu, threads, memoryBytes, features, gpus } = machine
  const rate = (value: number | undefined) => (value === undefined ? '-' : Math.round(value).toLocaleString('en'))
  const rows = engines.map(({ engine, provider, state, version = '-', measured }) => [
    engine,
    provider,
    state,
    version,
    measured === undefined ? '-' : `${measured.loadMs.toFixed(0)} ms`,
    rate(measured?.inferredPerSecond),
    rate(measured?.trainedPerSecond),
  ])
  const missing = engines
    .filter(({ state }) => state !== 'works')
    .map(
      ({ engine, provider, reason = '', get = '' }) => `${engine} on ${provider}: ${visible(reason)}\n  get it: ${get}`,
    )
  return [
    `Node ${node} on ${platform}`,
    `${cpu}, ${threads} threads, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB${features.length > 0 ? `; ${features.join(', ')}` : ''}`,
    gpus.length > 0 ? `GPU: ${gpus.map(visible).join(', ')}` : 'no GPU that the system tells of',
    table(['engine', 'provider', 'state', 'version', 'load', 'rows/s', 'trained rows/s'], rows),
    ...missing,
  ].join('\n')
}
