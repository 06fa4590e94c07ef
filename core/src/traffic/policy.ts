import { z } from 'zod'
import { idSchema } from '../nouns/names.js'

const MAX_VERSION = 2 ** 31 - 1
const MAX_VERSIONS = 16
/** Percentages are written with decimals, whose sums round. */
const SUM_TOLERANCE = 1e-6

const versionNumber = z.int().min(1).max(MAX_VERSION)
/** A version by number (also as text) or by alias. */
export const versionNameSchema = z.union([
  versionNumber,
  z
    .string()
    .regex(/^[1-9]\d{0,8}$/)
    .transform(Number),
  idSchema.regex(/\D/, 'an alias must not be a number'),
])

const share = z.number().gt(0).lt(100)
const salt = z.string().min(1).max(64)

/** How far a mirrored answer may be from the one given, per element: `|a - b| <= abs + rel * |a|`, where `a` was given. */
export const toleranceSchema = z.strictObject({
  abs: z.number().min(0).default(1e-5),
  rel: z.number().min(0).default(1e-3),
  /** Only whether each row's largest element is the same one: for class probabilities. */
  top1: z.boolean().default(false),
})

/** Policies over versions that are named as `version` says. */
function policyOver<V extends z.ZodType>(version: V) {
  const shadow = z.strictObject({
    version,
    /** Of the requests that are answered under the policy. */
    percent: z.number().gt(0).max(100).default(100),
    tolerance: toleranceSchema.prefault({}),
  })
  const common = {
    shadow: shadow.optional(),
  }
  const shared = {
    ...common,
    /** Whether requests with the same key are answered by the same version. */
    sticky: z.boolean().default(true),
    /** Decides with the key which version it is; made when it is left out, and kept while the versions stay. */
    salt: salt.optional(),
  }
  return z.discriminatedUnion('kind', [
    /** One version; without it whatever `latest` names. */
    z.strictObject({ kind: z.literal('single'), version: version.optional(), ...common }),
    /** Percentages that sum up to 100. */
    z.strictObject({
      kind: z.literal('weighted'),
      versions: z
        .array(z.strictObject({ version, weight: z.number().gt(0).max(100) }))
        .min(2)
        .max(MAX_VERSIONS),
      ...shared,
    }),
    z.strictObject({ kind: z.literal('canary'), stable: version, canary: version, percent: share, ...shared }),
    z.strictObject({
      kind: z.literal('blue-green'),
      blue: version,
      green: version,
      active: z.enum(['blue', 'green']).default('blue'),
      ...common,
    }),
  ])
}

/** As it is asked for: versions by number or alias. */
export const trafficRequestSchema = policyOver(versionNameSchema).superRefine((policy, context) => {
  for (const [path, message] of faultsOf(policy)) context.addIssue({ code: 'custom', path: [...path], message })
})

/** As it stands: an alias was resolved when the policy was set, since what was checked must be what answers. */
export const trafficPolicySchema = policyOver(versionNumber)

export type TrafficRequest = z.output<typeof trafficRequestSchema>
export type TrafficPolicy = z.output<typeof trafficPolicySchema>
export type Tolerance = z.output<typeof toleranceSchema>
type Named = TrafficRequest | TrafficPolicy

/** The policy of a model for which none was set. */
export const SINGLE: TrafficPolicy = Object.freeze({ kind: 'single' })

/** What a change of a standing policy may ask for: the way back, or another share. Nothing has to be loaded for it. */
export const trafficSwitchSchema = z.union([
  z.strictObject({ active: z.enum(['blue', 'green']) }),
  z.strictObject({ percent: share }),
  z.strictObject({}),
])
export type TrafficSwitch = z.output<typeof trafficSwitchSchema>

/** Where in a policy each version that may answer is named. */
export function answeringIn(
  policy: Named,
): readonly (readonly [path: readonly (string | number)[], number | string])[] {
  switch (policy.kind) {
    case 'single':
      return policy.version === undefined ? [] : [[['version'], policy.version]]
    case 'weighted':
      return policy.versions.map(({ version }, at) => [['versions', at, 'version'], version] as const)
    case 'canary':
      return [
        [['stable'], policy.stable],
        [['canary'], policy.canary],
      ]
    case 'blue-green':
      return [
        [['blue'], policy.blue],
        [['green'], policy.green],
      ]
  }
}

/** What is wrong with a policy that its versions are all the same for: found again once aliases are numbers. */
export function faultsOf(policy: Named): readonly (readonly [path: readonly (string | number)[], message: string])[] {
  const faults: [readonly (string | number)[], string][] = []
  const seen = new Set<number | string>()
  for (const [path, version] of answeringIn(policy)) {
    if (seen.has(version)) faults.push([path, `version ${version} is named twice`])
    seen.add(version)
  }
  if (policy.shadow && seen.has(policy.shadow.version))
    faults.push([['shadow', 'version'], `version ${policy.shadow.version} answers already: a shadow never does`])
  if (policy.kind === 'weighted') {
    const sum = policy.versions.reduce((total, { weight }) => total + weight, 0)
    if (Math.abs(sum - 100) > SUM_TOLERANCE)
      faults.push([['versions'], `the weights are percentages, and sum up to ${sum}`])
  }
  return faults
}

/** One version's share of the requests, in percent. */
export interface Share {
  readonly version: number
  readonly weight: number
}

/** Who answers, and to what part; empty where `latest` does. */
export function sharesOf(policy: TrafficPolicy): readonly Share[] {
  switch (policy.kind) {
    case 'single':
      return policy.version === undefined ? [] : [{ version: policy.version, weight: 100 }]
    case 'weighted':
      return policy.versions
    case 'canary':
      return [
        { version: policy.stable, weight: 100 - policy.percent },
        { version: policy.canary, weight: policy.percent },
      ]
    case 'blue-green':
      return [{ version: policy[policy.active], weight: 100 }]
  }
}

/** Every version that is kept loaded for a policy: also the one that waits, and the shadow. */
export function versionsIn(policy: TrafficPolicy): readonly number[] {
  const answering = answeringIn(policy).map(([, version]) => version as number)
  return policy.shadow === undefined ? answering : [...answering, policy.shadow.version]
}
