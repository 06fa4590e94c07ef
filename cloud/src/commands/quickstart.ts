import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { cloudErrors } from '../errors.js'
import { stopAll } from '../quickstart/processes.js'
import type { QuickstartResult } from '../quickstart/result.js'
import { checkFree, type QuickstartOptions, runQuickstart } from '../quickstart/run.js'
import { kilobytes, percent, short, table } from '../view/output.js'
import { steps } from '../view/steps.js'
import { parseWhole } from './train.js'

interface CommandOptions extends QuickstartOptions {
  readonly keep?: boolean
  readonly json?: boolean
}

/** With more, a device's share of the held-out images would be too small for the monitor's first look. */
const MAX_DEVICES = 40

export function addQuickstart(command: Command): void {
  command
    .option('--devices <n>', 'edge agents to start, each its own process', parseDevices, 3)
    .option('--seed <n>', 'seed of split, initialisation and shuffling (default: 1, then the next one)', parseWhole)
    .addOption(
      new Option('--transport <name>', 'wire to the devices').choices(['embedded', 'nats']).default('embedded'),
    )
    .option('--no-dirty-lens', 'let the last device see clearly too: no drift must be found')
    .option('--dir <dir>', 'where everything is kept; run again on the same one to train further', '.tideway')
    .option('--keep', 'leave cloud and devices running (`tideway down` stops them)')
    .option('--json', 'print one JSON object as the last line of standard output')
    .addHelpText('after', '\n`--transport nats` starts nats-server from PATH in its own directory, or uses NATS_URL.')
    .action(async (options: CommandOptions) => {
      const dir = resolve(options.dir)
      const kept = await checkFree({ ...options, dir })
      const interrupted = () => void stopAll(dir).finally(() => process.exit(130))
      process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
      try {
        const result = await runQuickstart({ ...options, dir }, steps)
        process.stdout.write(
          `${options.json ? JSON.stringify(result) : view(result, { ...options, keep: options.keep ?? kept })}\n`,
        )
        if (result.failures.length > 0) throw cloudErrors.QUICKSTART_FAILED({ failures: result.failures })
      } finally {
        if (!options.keep && !kept) await steps.waiting('stopping', () => stopAll(dir))
      }
    })
}

function view(result: QuickstartResult, { keep, dir }: CommandOptions): string {
  const { model, version, accuracy, bytes, train, alarmRate } = result
  const versions = table(
    ['model', 'variant', 'size', 'accuracy (held out)'],
    [
      [`${model}:${version}`, 'fp32', kilobytes(bytes.fp32), percent(accuracy.fp32)],
      [`${model}:${version}`, 'int8', kilobytes(bytes.int8), percent(accuracy.int8)],
    ],
  )
  const devices = table(
    ['device', 'process', 'runs', 'inferences', 'errors', 'p50', 'p99', 'drift', 'score'],
    result.devices.map((device) => [
      device.id,
      device.pid,
      `${model}:${version} ${short(device.digest)}`,
      device.inferences,
      device.errors,
      `${device.p50Ms.toFixed(2)} ms`,
      `${device.p99Ms.toFixed(2)} ms`,
      device.driftFlagged ? 'DRIFT' : 'none found',
      device.driftScore.toFixed(2),
    ]),
  )
  const tideway = process.env.npm_lifecycle_event === undefined ? 'npx tideway' : 'npm run tideway --'
  const again = process.env.npm_lifecycle_event === undefined ? 'npx tideway quickstart' : 'npm run quickstart --'
  const next = keep
    ? [
        [`${tideway} devices --dir ${dir}`, 'what the fleet runs'],
        [`${tideway} drift --dir ${dir}`, 'which statistics moved'],
        [`${tideway} down --dir ${dir}`, 'stop it all'],
      ]
    : [
        [`${again} --dir ${dir} --keep`, 'leave it running, then look around'],
        [`${again} --dir ${dir}`, 'once more: trains further, registers the next version, moves the devices'],
        [`${again} --transport nats --dir .tideway-nats`, 'the same over NATS'],
      ]
  const width = Math.max(...next.map(([command]) => command!.length))
  return [
    versions,
    devices,
    `Trained ${train.rows} rows x ${train.epochs} epochs in ${train.seconds.toFixed(1)} s (${Math.round(train.samplesPerSecond)} samples/s); all in ${result.seconds.toFixed(1)} s.`,
    `Drift: at most ${percent(alarmRate)} false alarms per device and version, over all statistics and looks.`,
    `Everything is in ${dir}. Next:`,
    ...next.map(([command, what]) => `  ${command!.padEnd(width)}  ${what}`),
  ].join('\n')
}

function parseDevices(text: string): number {
  const count = parseWhole(text)
  if (count < 1 || count > MAX_DEVICES) throw new InvalidArgumentError(`1 to ${MAX_DEVICES}`)
  return count
}
