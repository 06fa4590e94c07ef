import type { Signature, TrafficPolicy, TrafficRequest, VersionRecord } from '@tideway/core'
import { codeOf, errors } from '@tideway/core/serving'
import { answeringIn, faultsOf, signatureChange, trafficPolicySchema } from '@tideway/core/versions'
import type { ModelHost } from '../serving/model-host.js'

export interface CheckOptions {
  readonly resolve: (model: string, version: string) => Promise<VersionRecord>
  readonly host: Pick<ModelHost, 'session' | 'pin' | 'refusal'>
  /** What answers now. */
  readonly answering: (model: string) => Promise<VersionRecord>
  /** Of the policy in force, which stay loaded. */
  readonly kept: (model: string) => Promise<readonly VersionRecord[]>
}

interface Named {
  /** Where in the policy: `versions.0.version`. */
  readonly at: string
  readonly version: VersionRecord
}

/**
 * Makes a policy of a request, and sure that it can be honoured: every version is there, stays loaded beside the others, has
 * answered, and takes and gives what clients see now. Throws `TRAFFIC_REFUSED` naming all that is wrong.
 */
export async function checkPolicy(
  model: string,
  request: TrafficRequest,
  { resolve, host, answering, kept }: CheckOptions,
): Promise<TrafficPolicy> {
  const refuse = (issues: readonly string[]) => {
    if (issues.length > 0) throw errors.TRAFFIC_REFUSED({ model, issues })
  }
  const { named, policy } = await resolved(model, request, resolve, refuse)
  refuse(faultsOf(policy).map(([path, message]) => `${path.join('.')}: ${message}`))
  const now = await answering(model)
  // Where `latest` is to answer it must be able to, though it is not pinned.
  const wanted =
    policy.kind === 'single' && policy.version === undefined ? [{ at: 'latest', version: now }, ...named] : named
  const digests = named.map(({ version }) => version.manifestDigest)
  const room = await host.refusal(model, digests)
  refuse(room === undefined ? [] : [room])
  const before = (await kept(model)).map(({ manifestDigest }) => manifestDigest)
  host.pin(model, [...new Set([...before, ...digests])])
  refuse(await unfit(now, wanted, host))
  return policy
}

async function resolved(
  model: string,
  request: TrafficRequest,
  resolve: CheckOptions['resolve'],
  refuse: (issues: readonly string[]) => void,
): Promise<{ named: readonly Named[]; policy: TrafficPolicy }> {
  const places = [...answeringIn(request)]
  if (request.shadow) places.push([['shadow', 'version'], request.shadow.version])
  const policy = structuredClone(request) as Record<string, unknown>
  const issues: string[] = []
  const named: Named[] = []
  for (const [path, name] of places) {
    const at = path.join('.')
    try {
      const version = await resolve(model, String(name))
      named.push({ at, version })
      put(policy, path, version.version)
    } catch (error) {
      if (codeOf(error) !== 'VERSION_NOT_FOUND') throw error
      issues.push(`${at}: there is no version or alias ${name}`)
    }
  }
  refuse(issues)
  return { named, policy: trafficPolicySchema.parse(policy) }
}

function put(policy: Record<string, unknown>, path: readonly (string | number)[], version: number): void {
  const parents = path.slice(0, -1)
  const parent = parents.reduce((node, key) => node[key] as Record<string, unknown>, policy)
  parent[path.at(-1) as string] = version
}

/** Loads all, one after the other, and compares what they take and give with what answers now. */
async function unfit(now: VersionRecord, named: readonly Named[], host: CheckOptions['host']): Promise<string[]> {
  const issues: string[] = []
  let seen: { readonly version: number; readonly signature: Signature } | undefined
  // What answers now may be what does not load: then the first that does is the measure.
  for (const { at, version } of [{ at: '', version: now }, ...named]) {
    try {
      const { signature } = await host.session(version)
      seen ??= { version: version.version, signature }
      const change = signatureChange(seen.signature, signature)
      if (change) issues.push(`${at}: version ${version.version} has ${change} as version ${seen.version} has`)
    } catch (error) {
      if (at !== '') issues.push(`${at}: version ${version.version} cannot be loaded: ${messageOf(error)}`)
    }
  }
  return issues
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
