import { homedir } from 'node:os'
import { join } from 'node:path'
import { checkId } from '@tideway/core'
import { createEdge } from '../edge.js'
import { errors } from '../errors.js'
import { openDoor } from '../http/door.js'
import type { EdgeStatus } from '../status.js'
import { createStderrLogger } from './logger.js'
import { connect, createRuntime, RUNTIMES } from './peers.js'

/** As the command line gives them. */
export interface RunFlags {
  readonly device: string
  readonly fleet: string
  readonly cloud?: string
  readonly nats?: string
  readonly dir?: string
  readonly listen?: string
  readonly reportEvery: string
  readonly threads: string
  readonly runtime: string
  readonly json?: boolean
}

/** Runs the agent until SIGINT or SIGTERM; throws what kept it from starting. */
export async function run(flags: RunFlags): Promise<void> {
  const { device, fleet, dir, listen, reportEveryMs, threads, runtime: runs } = resolveFlags(flags)
  const logger = createStderrLogger(flags.json === true)
  const runtime = await createRuntime(runs, threads, logger)
  const link = await connect({ device, fleet, cloud: flags.cloud, nats: flags.nats, logger })
  // The handlers are there before the start is over: a stop during it must not lose what was begun.
  const stop = untilStopped()
  const edge = await createEdge({ device, fleet, dir, link, runtime, logger, reportEveryMs }).catch(
    async (error: unknown) => {
      await link.close()
      throw error
    },
  )
  const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const door =
    listen &&
    (await openDoor(edge, { ...listen, logger }).catch(async (error: unknown) => {
      await edge.close()
      await link.close()
      throw error
    }))
  if (door) print({ listening: door.url, pid: process.pid })
  const show = (status: EdgeStatus) => {
    if (flags.json === true) print({ status: { ...status, pid: process.pid } })
  }
  edge.onChange(show)
  show(edge.status())
  const { models } = edge.status()
  logger.info('the agent runs', { device, fleet, dir, link: link.name, models: Object.keys(models).length })

  logger.info('stopping', { signal: await stop })
  await door?.close()
  await edge.close()
  await link.close()
}

/** What the flags mean; throws `EDGE_OPTIONS_INVALID` naming every bad one. */
export function resolveFlags(flags: RunFlags) {
  const issues: string[] = []
  const seconds = Number(flags.reportEvery)
  if (!(seconds >= 0.1 && seconds <= 86_400))
    issues.push('--report-every: is not a number of seconds from 0.1 to 86400')
  const threads = Number(flags.threads)
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) issues.push('--threads: is not 1 to 256')
  const runtime = RUNTIMES.find((name) => name === flags.runtime)
  if (runtime === undefined) issues.push(`--runtime: is none of ${RUNTIMES.join(', ')}`)
  if ((flags.cloud === undefined) === (flags.nats === undefined)) issues.push('--cloud, --nats: give one of them')
  for (const [name, value] of Object.entries({ '--cloud': flags.cloud, '--nats': flags.nats })) {
    if (value !== undefined && !URL.canParse(value)) issues.push(`${name}: is not a URL`)
  }
  const listen = flags.listen === undefined ? undefined : addressOf(flags.listen)
  if (flags.listen !== undefined && listen === undefined) issues.push('--listen: is not HOST:PORT')
  if (issues.length > 0 || runtime === undefined) throw errors.EDGE_OPTIONS_INVALID({ issues })
  const device = checkId('device', flags.device)
  const fleet = checkId('fleet', flags.fleet)
  const dir = flags.dir ?? join(homedir(), '.tideway', 'edge', fleet, device)
  return { device, fleet, dir, listen, threads, runtime, reportEveryMs: seconds * 1000 }
}

function addressOf(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  return host !== undefined && port <= 65_535 ? { host, port } : undefined
}

/** Resolves with the first signal to stop; a second one ends the process at once. */
function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    let stopping = false
    const handle = (signal: NodeJS.Signals) => {
      if (stopping) process.exit(1)
      stopping = true
      resolve(signal)
    }
    process.on('SIGINT', handle)
    process.on('SIGTERM', handle)
  })
}
