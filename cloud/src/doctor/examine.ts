import { ask } from '../process/ask.js'
import type { Answer } from './child.js'
import { versionOf } from './packages.js'
import { PROBES, type Probe } from './probes.js'
import type { Measured } from './self-test.js'

/** The built file, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
const CHILD = new URL('../../dist/doctor/child.js', import.meta.url)
/** A driver that computes on the CPU takes seconds to compile a kernel. */
const MOST_MS = 30_000

export interface Finding extends Pick<Probe, 'id' | 'engine' | 'provider' | 'trains'> {
  /** `missing`: its package is not installed; `fails`: it is, and the self-test did not come out. */
  readonly state: 'works' | 'fails' | 'missing'
  /** Of the engine's package. */
  readonly version?: string
  readonly measured?: Measured
  /** Why it does not work. */
  readonly reason?: string
  /** How to get it. */
  readonly get?: string
}

/**
 * Tries one engine, in a process of its own: a driver that crashes takes that process with it and no more, and what it
 * writes is not seen.
 */
export async function examine(probe: Probe, { file = CHILD, mostMs = MOST_MS } = {}): Promise<Finding> {
  const { id, engine, provider, trains, get } = probe
  const said = { id, engine, provider, trains }
  const version = versionOf(probe.package, probe.by)
  if (version === undefined) return { ...said, state: 'missing', reason: `${probe.package} is not installed`, get }
  const answer = await ask<Answer>({ file, args: [id], mostMs }).catch(
    (error: Error): Answer => ({ error: error.message }),
  )
  return 'measured' in answer
    ? { ...said, state: 'works', version, measured: answer.measured }
    : { ...said, state: 'fails', version, reason: answer.error, get }
}

/** All of them, one after the other: each has the machine to itself. */
export async function examineAll(onStart: (probe: Probe) => void): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const probe of PROBES) {
    onStart(probe)
    findings.push(await examine(probe))
  }
  return findings
}
