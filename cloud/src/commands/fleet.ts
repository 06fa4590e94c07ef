import type { Client } from '@tideway/client'
import type { DriftVerdict } from '@tideway/core'
import type { Command } from 'commander'
import { ago, short, table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'

const NO_MODELS =
  'No models yet. `tideway train <pipeline>` or `tideway finetune <model.onnx>` registers one in this cloud; ' +
  '`tideway serve model.onnx` answers for a file without a cloud.'

export function addModels(command: Command): void {
  withClient(command).action(async (options: ClientOptions) => {
    const client = await connect(options)
    const models = await Promise.all((await client.models()).map(({ name }) => client.model(name)))
    const rows = models.flatMap(({ model, versions, aliases }) =>
      versions.map(({ version, manifestDigest, createdAt }) => [
        `${model.name}:${version}`,
        aliases
          .filter((alias) => alias.version === version)
          .map(({ alias }) => alias)
          .join(', '),
        short(manifestDigest),
        createdAt,
      ]),
    )
    print(options.json, { models }, () =>
      rows.length === 0 ? NO_MODELS : table(['version', 'aliases', 'manifest', 'registered'], rows),
    )
  })
}

export function addDeploy(command: Command): void {
  withClient(command)
    .requiredOption('--fleet <fleet>', 'fleet to move')
    .option('--device <id...>', 'only these devices')
    .addHelpText('after', '\nExample:\n  $ tideway deploy digits:latest --fleet shop-floor')
    .action(async (target: string, options: ClientOptions & { fleet: string; device?: string[] }) => {
      const client = await connect(options)
      const [model = '', version = 'latest'] = target.split(':')
      const deployment = await client.deploy({ model, version, fleet: options.fleet, devices: options.device })
      const { manifestDigest, desired, unaffected } = deployment
      print(options.json, deployment, () => {
        const generations = desired.map(({ generation }) => generation).join(', ')
        const told = `${model}:${deployment.version} (${short(manifestDigest)}) is desired by fleet ${options.fleet}, generation ${generations}`
        if (unaffected.length === 0) return told
        const flags = unaffected.map((id) => `--device ${id}`).join(' ')
        return `${told}\nNot moved, since they were deployed to by name before: ${unaffected.join(', ')} (move them with ${flags})`
      })
    })
}

export function addDevices(command: Command): void {
  withClient(command)
    .option('--fleet <fleet>', 'only this fleet')
    .action(async (options: ClientOptions & { fleet?: string }) => {
      const devices = await (await connect(options)).devices({ fleet: options.fleet })
      const rows = devices.flatMap(({ id, fleet, lastSeenAt, reported }) => {
        const models = Object.entries(reported?.models ?? {})
        if (models.length === 0) return [[id, fleet, '-', '-', '-', ago(lastSeenAt)]]
        return models.map(([model, state]) => [
          id,
          fleet,
          `${model}:${state.version ?? '-'}`,
          state.error ? `${state.status} (${state.error.code})` : state.status,
          `${state.variant ?? '-'} ${short(state.variantDigest)}`,
          ago(lastSeenAt),
        ])
      })
      print(options.json, { devices }, () =>
        rows.length === 0
          ? 'No devices yet: start one with `tideway-edge run`.'
          : table(['device', 'fleet', 'runs', 'status', 'variant', 'last seen'], rows),
      )
    })
}

export function addDrift(command: Command): void {
  withClient(command)
    .option('--model <model>', 'only this model')
    .option('--fleet <fleet>', 'only this fleet')
    .action(async (options: ClientOptions & { model?: string; fleet?: string }) => {
      const client = await connect(options)
      const verdicts = await client.drift({ model: options.model, fleet: options.fleet })
      const versions = await versionsOf(client, verdicts)
      print(options.json, { verdicts }, () => driftTable(verdicts, versions))
    })
}

/** Version numbers by manifest digest, of the models that were judged. */
async function versionsOf(client: Client, verdicts: readonly DriftVerdict[]): Promise<ReadonlyMap<string, number>> {
  const names = [...new Set(verdicts.map(({ model }) => model))]
  const models = await Promise.all(names.map((name) => client.model(name)))
  return new Map(models.flatMap(({ versions }) => versions.map((item) => [item.manifestDigest, item.version])))
}

const SHOWN_STATISTICS = 3
const LEGEND = `score: 1 is the threshold at the stated alarm rate; looks: tests so far, at 50 rows, 100, 200 and so on;
moved: the statistics that crossed their threshold at the last look, or else the nearest to it.`

export function driftTable(verdicts: readonly DriftVerdict[], versions: ReadonlyMap<string, number>): string {
  if (verdicts.length === 0)
    return 'No reports yet: devices send a summary of what they saw every --report-every seconds.'
  const named = ({ model, fleet, device }: DriftVerdict) => `${model} ${fleet} ${device ?? ''}`
  const sorted = [...verdicts].sort((a, b) => (named(a) < named(b) ? -1 : 1))
  const rows = sorted.map((verdict) => {
    const crossed = verdict.statistics.filter(({ pValue, level }) => pValue <= level).slice(0, SHOWN_STATISTICS)
    const moved = crossed.length > 0 ? crossed : verdict.statistics.slice(0, 1)
    return [
      `${verdict.model}:${versions.get(verdict.manifestDigest) ?? short(verdict.manifestDigest)}`,
      verdict.device ?? `fleet ${verdict.fleet}`,
      verdict.rows,
      verdict.looks,
      verdict.flagged ? 'DRIFT' : verdict.looks === 0 ? 'too few rows' : 'none found',
      verdict.score.toFixed(2),
      moved.map(({ statistic }) => statistic).join(', ') || '-',
    ]
  })
  return `${table(['version', 'device', 'rows', 'looks', 'drift', 'score', 'moved'], rows)}\n${LEGEND}`
}
