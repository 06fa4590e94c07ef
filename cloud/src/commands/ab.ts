import type { AbTestOrder } from '@tideway/client'
import type { AbTestView } from '@tideway/core'
import type { Command } from 'commander'
import { cloudErrors } from '../errors.js'
import { table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'
import { numberIssues } from './numbers.js'

interface StartOptions extends ClientOptions {
  readonly control: string
  readonly treatment: string
  readonly metric: string
  readonly leastEffect: string
  readonly lower?: boolean
  readonly min?: string
  readonly max?: string
  readonly baseline?: string
  readonly sd?: string
  readonly alpha?: string
  readonly beta?: string
  readonly split?: string
  readonly maxUnits?: string
}

/** `tideway ab start|show|promote|stop MODEL`. */
export function addAb(ab: Command): void {
  withClient(ab.command('start <model>'))
    .description('declare a test and give it the traffic of the model')
    .requiredOption('--control <version>', 'number or alias')
    .requiredOption('--treatment <version>', 'number or alias')
    .requiredOption('--metric <kind>', 'binary (0 or 1 of each unit) or mean (a number within --min and --max)')
    .requiredOption('--least-effect <number>', 'the smallest improvement that matters, absolute')
    .option('--lower', 'lower is better')
    .option('--min <number>', 'of a mean: values below count as this')
    .option('--max <number>', 'of a mean: values above count as this')
    .option('--baseline <number>', 'the mean that is expected of control')
    .option('--sd <number>', 'of a mean: the standard deviation that is expected')
    .option('--alpha <rate>', 'how often a treatment that is no better may be promoted (default 0.05)')
    .option('--beta <rate>', 'how often one that has the least effect may be given up (default 0.2)')
    .option('--split <share>', 'of units that get the treatment (default 0.5)')
    .option('--max-units <count>', 'when it ends in any case')
    .addHelpText(
      'after',
      '\nExample:\n  $ tideway ab start ranking --control 3 --treatment 4 --metric binary --baseline 0.05 --least-effect 0.01',
    )
    .action(async (model: string, options: StartOptions) => {
      const declaration = declarationOf(options)
      const view = await (await connect(options)).startAbTest(model, declaration)
      print(options.json, view, () => viewOf(view))
    })

  withClient(ab.command('show <model>'))
    .description('what the newest test says now')
    .action(async (model: string, options: ClientOptions) => {
      const view = await (await connect(options)).abTest(model)
      print(options.json, view, () => viewOf(view))
    })

  withClient(ab.command('promote <model>'))
    .description('let `latest` name the treatment and end the test')
    .option('--force', 'also where the test does not say so')
    .action(async (model: string, options: ClientOptions & { force?: boolean }) => {
      const view = await (await connect(options)).promoteAbTest(model, { force: options.force ?? false })
      print(options.json, view, () => viewOf(view))
    })

  withClient(ab.command('stop <model>'))
    .description('end the test; control answers all')
    .action(async (model: string, options: ClientOptions) => {
      const view = await (await connect(options)).stopAbTest(model)
      print(options.json, view, () => viewOf(view))
    })
}

/** What it holds is checked by the cloud, which names every bad field. Throws `AB_OPTIONS_INVALID` for what is no number. */
function declarationOf(options: StartOptions): AbTestOrder {
  const { control, treatment, metric, leastEffect, lower, alpha, beta, split, maxUnits } = options
  const issues = numberIssues({
    '--least-effect': leastEffect,
    '--min': options.min,
    '--max': options.max,
    '--baseline': options.baseline,
    '--sd': options.sd,
    '--alpha': alpha,
    '--beta': beta,
    '--split': split,
    '--max-units': maxUnits,
  })
  if (issues.length > 0) throw cloudErrors.AB_OPTIONS_INVALID({ issues })
  const numbers = (given: Readonly<Record<string, string | undefined>>) =>
    Object.fromEntries(
      Object.entries(given)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, Number(value)]),
    )
  const { min, max, baseline, sd } = options
  return {
    control,
    treatment,
    metric: { kind: metric, ...numbers({ min, max, baseline, sd }) } as AbTestOrder['metric'],
    better: lower ? 'lower' : 'higher',
    leastEffect: Number(leastEffect),
    ...numbers({ alpha, beta, split, maxUnits }),
  }
}

function viewOf({ test, result, reason, control, treatment, ...view }: AbTestView): string {
  const shown = (value: number | undefined) => (value === undefined ? '-' : Number(value.toPrecision(4)).toString())
  const { estimate, low, high } = view.effect
  const rows = [
    ['control', `${test.model}:${control.version}`, control.units, shown(control.mean)],
    ['treatment', `${test.model}:${treatment.version}`, treatment.units, shown(treatment.mean)],
  ]
  return [
    `${test.id} (${test.status}): ${result}: ${reason}`,
    table(['arm', 'version', 'units with an outcome', 'mean'], rows),
    `effect ${shown(estimate)}, between ${shown(low)} and ${shown(high)} at any look; p = ${shown(view.pValue)}`,
    `${view.exposed} units were answered, ${view.unknown} outcomes were of unknown units, ${view.capped} values were capped`,
  ].join('\n')
}
