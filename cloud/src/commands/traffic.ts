import type { TrafficOrder } from '@tideway/client'
import type { TrafficPolicy, TrafficView } from '@tideway/core'
import type { Command } from 'commander'
import { cloudErrors } from '../errors.js'
import { table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'
import { numberIssues, type Parts } from './numbers.js'

interface SetOptions extends ClientOptions {
  readonly only?: string
  readonly weights?: string
  readonly stable?: string
  readonly canary?: string
  readonly percent?: string
  readonly blue?: string
  readonly green?: string
  readonly active?: string
  readonly shadow?: string
  readonly shadowPercent?: string
  readonly abs?: string
  readonly rel?: string
  readonly top1?: boolean
  readonly sticky: boolean
  readonly salt?: string
}

/** `tideway traffic show|set|switch|clear MODEL`. */
export function addTraffic(traffic: Command): void {
  withClient(traffic.command('show <model>'))
    .description('the policy, and what came of it')
    .action(async (model: string, options: ClientOptions) => {
      const view = await (await connect(options)).traffic(model)
      print(options.json, view, () => viewOf(view))
    })

  withClient(traffic.command('set <model>'))
    .description('set the policy; one that cannot be honoured is refused')
    .option('--only <version>', 'one version for all requests')
    .option('--weights <list>', 'percentages that sum up to 100: 1=60,2=40')
    .option('--stable <version>', 'with --canary and --percent: what answers the rest')
    .option('--canary <version>', 'what is tried')
    .option('--percent <percent>', 'of the requests that the canary answers')
    .option('--blue <version>', 'with --green: both stay loaded, and one answers')
    .option('--green <version>')
    .option('--active <colour>', 'blue or green')
    .option('--shadow <version>', 'a version that gets copies of the requests and never answers')
    .option('--shadow-percent <percent>', 'of the requests that are copied')
    .option('--abs <tolerance>', "how far the shadow's numbers may be off, absolute")
    .option('--rel <tolerance>', 'and relative')
    .option('--top1', 'compare the class of each row alone')
    .option('--no-sticky', 'choose for each request, whatever its key')
    .option('--salt <text>', 'decides with the key which version it is')
    .addHelpText('after', '\nExample:\n  $ tideway traffic set digits --stable 3 --canary 4 --percent 5 --shadow 5')
    .action(async (model: string, options: SetOptions) => {
      const view = await (await connect(options)).setTraffic(model, orderOf(options))
      print(options.json, view, () => viewOf(view))
    })

  withClient(traffic.command('switch <model>'))
    .description('let the other version of a blue-green policy answer, or give a canary another percentage')
    .option('--to <colour>', 'blue or green')
    .option('--percent <percent>', 'of the requests that the canary answers')
    .action(async (model: string, options: ClientOptions & { to?: string; percent?: string }) => {
      const { to, percent } = options
      const issues = numberIssues({ '--percent': percent })
      if (issues.length > 0) throw cloudErrors.TRAFFIC_OPTIONS_INVALID({ issues })
      const change = {
        ...(to !== undefined && { active: to as 'blue' }),
        ...(percent !== undefined && { percent: Number(percent) }),
      }
      const view = await (await connect(options)).switchTraffic(model, change as { percent: number })
      print(options.json, view, () => viewOf(view))
    })

  withClient(traffic.command('clear <model>'))
    .description('go back to what `latest` names')
    .action(async (model: string, options: ClientOptions) => {
      const view = await (await connect(options)).clearTraffic(model)
      print(options.json, view, () => viewOf(view))
    })
}

/** Throws `TRAFFIC_OPTIONS_INVALID` unless exactly one kind is named, as a whole; what it holds is checked by the cloud. */
function orderOf(options: SetOptions): TrafficOrder {
  const { only, weights, stable, canary, percent, blue, green, active, sticky, salt } = options
  const issues = issuesOf(options)
  if (issues.length > 0) throw cloudErrors.TRAFFIC_OPTIONS_INVALID({ issues })
  const shared = { ...(!sticky && { sticky }), ...(salt !== undefined && { salt }) }
  const shadow = shadowOf(options)
  const order = () => {
    if (weights !== undefined) return { kind: 'weighted', versions: weights.split(',').map(weightOf), ...shared }
    if (canary !== undefined || stable !== undefined)
      return { kind: 'canary', stable, canary, percent: Number(percent), ...shared }
    if (blue !== undefined || green !== undefined)
      return { kind: 'blue-green', blue, green, ...(active !== undefined && { active }) }
    return { kind: 'single', ...(only !== undefined && { version: only }) }
  }
  return { ...order(), ...(shadow && { shadow }) } as TrafficOrder
}

function issuesOf(options: SetOptions): string[] {
  const { only, weights, stable, canary, percent, blue, green, shadow, shadowPercent, abs, rel } = options
  const given = (parts: Parts) => Object.values(parts).some((value) => value !== undefined)
  const wholes: Parts[] = [
    { '--only': only },
    { '--weights': weights },
    { '--stable': stable, '--canary': canary, '--percent': percent },
    { '--blue': blue, '--green': green },
  ]
  const named = wholes.filter(given)
  const isShadowAlone = named.length === 0 && shadow !== undefined
  return [
    ...(named.length > 1 ? ['more than one kind of policy is named'] : []),
    ...(named.length === 0 && !isShadowAlone ? ['no kind of policy is named'] : []),
    ...named.flatMap((parts) =>
      Object.keys(parts).flatMap((flag) => (parts[flag] === undefined ? [`${flag} is missing`] : [])),
    ),
    ...(weights?.split(',').every(isWeight) === false ? ['--weights must be VERSION=PERCENT, commas between'] : []),
    ...numberIssues({ '--percent': percent, '--shadow-percent': shadowPercent, '--abs': abs, '--rel': rel }),
  ]
}

const isWeight = (part: string): boolean => /^[^=]+=\s*[\d.]+\s*$/.test(part) && Number.isFinite(weightOf(part).weight)

function weightOf(part: string): { version: string; weight: number } {
  const [version = '', weight] = part.split('=')
  return { version: version.trim(), weight: Number(weight) }
}

function shadowOf({ shadow, shadowPercent, abs, rel, top1 }: SetOptions): object | undefined {
  if (shadow === undefined) return undefined
  const tolerance = {
    ...(abs !== undefined && { abs: Number(abs) }),
    ...(rel !== undefined && { rel: Number(rel) }),
    ...(top1 && { top1 }),
  }
  return { version: shadow, tolerance, ...(shadowPercent !== undefined && { percent: Number(shadowPercent) }) }
}

function viewOf({ model, policy, state, reason, answered, shadow, record }: TrafficView): string {
  const lines = [`${model}: ${told(policy)}`]
  if (state !== 'effective') lines.push(`Not in force yet (${state}): ${reason}`)
  if (record?.test !== undefined)
    lines.push(`Belongs to the A/B test ${record.test}: see \`tideway ab show ${model}\`.`)
  const total = Object.values(answered).reduce((sum, count) => sum + count, 0)
  const rows = Object.entries(answered).map(([version, count]) => [
    `${model}:${version}`,
    count,
    `${((100 * count) / total).toFixed(1)}%`,
  ])
  if (rows.length > 0) lines.push(table(['version', 'answered', 'share'], rows))
  if (shadow) {
    const { agreed, differed, failed, dropped, latencyRatio } = shadow
    const speed = latencyRatio === undefined ? '' : `; its runs take ${latencyRatio.toFixed(2)} times as long`
    lines.push(`shadow: ${agreed} agreed, ${differed} differed, ${failed} failed, ${dropped} dropped${speed}`)
  }
  return lines.join('\n')
}

function told(policy: TrafficPolicy): string {
  const shadow = policy.shadow ? `, version ${policy.shadow.version} as a shadow` : ''
  const answering = () => {
    switch (policy.kind) {
      case 'single':
        return policy.version === undefined
          ? 'what `latest` names answers all'
          : `version ${policy.version} answers all`
      case 'weighted':
        return policy.versions.map(({ version, weight }) => `version ${version} answers ${weight}%`).join(', ')
      case 'canary':
        return `version ${policy.canary} answers ${policy.percent}% as a canary, version ${policy.stable} the rest`
      case 'blue-green':
        return `${policy.active} answers (blue is version ${policy.blue}, green version ${policy.green})`
    }
  }
  return answering() + shadow
}
