import type { Access, AccessRole, Actor, Credentials, Origin } from '@tideway/core'
import { allows, allowsDevice, allowsModel, errors as core, isLoopback } from '@tideway/core/serving'
import { errors } from '../errors.js'

/** Who may ask a route: everybody, or who has one of the roles (or one that includes it). */
export type RouteRole = 'open' | AccessRole | readonly AccessRole[]

const OPEN = new Set(['/v1/health/live', '/v1/health/ready', '/v2/health/live', '/v2/health/ready'])
/** Who has not said who it is. */
export const ANYONE: Actor = Object.freeze({ name: 'anyone', roles: Object.freeze([]) })

/** What is asked before a request is taken. */
export interface Knock {
  readonly path: string
  /** The name that the request is addressed to, without a port. */
  readonly hostname: string
  readonly credentials: Credentials
}

/** Who asks, at once where that is known already; throws (or rejects with) `HOST_REFUSED` and as `Access.identify`. */
export type Admit = (knock: Knock) => Actor | Promise<Actor>

/** Who asked, and from where. */
export interface Caller {
  readonly actor: Actor
  readonly address?: string
  readonly requestId: string
}

/**
 * Where no credentials are required: only requests addressed to loopback by name, so that a page that points its own domain
 * at 127.0.0.1 (DNS rebinding) gets nowhere. Where they are: on everything but health.
 */
export function admission(access: Access): Admit {
  return ({ path, hostname, credentials }) => {
    if (access.required && OPEN.has(path)) return ANYONE
    if (!access.required && !isLoopback(hostname)) throw errors.HOST_REFUSED({ host: hostname.slice(0, 80) })
    return access.identify(credentials)
  }
}

export function originOf({ actor, address, requestId }: Caller): Origin {
  return { actor: actor.name, requestId, ...(address !== undefined && { address }) }
}

/** Throws `ROLE_REQUIRED`, or `MODEL_FORBIDDEN` for a model out of scope. */
export function demand(actor: Actor, role: RouteRole, model?: string): void {
  if (role === 'open') return
  const isAllowed = typeof role === 'string' ? allows(actor, role) : role.some((one) => allows(actor, one))
  if (!isAllowed) throw core.ROLE_REQUIRED({ roles: typeof role === 'string' ? [role] : role })
  if (model !== undefined) demandModel(actor, model)
}

/** Throws `MODEL_FORBIDDEN`. */
export function demandModel(actor: Actor, model: string): void {
  if (!allowsModel(actor, model)) throw core.MODEL_FORBIDDEN({ model: model.slice(0, 80) })
}

/** For what tells of the whole process. Throws `ALL_MODELS_REQUIRED` for an actor that is restricted to some models. */
export function demandAllModels({ models }: Actor, what: string): void {
  if (models !== undefined) throw core.ALL_MODELS_REQUIRED({ what })
}

/** Throws `DEVICE_FORBIDDEN`; `*` stands for all devices of the fleet. */
export function demandDevice(actor: Actor, fleet: string, device: string): void {
  if (!allowsDevice(actor, fleet, device)) throw core.DEVICE_FORBIDDEN({ fleet, device })
}

/**
 * A new version may be called the latest by who brings it; what other aliases name is for operators to say. Throws
 * `ROLE_REQUIRED`.
 */
export function demandAliases(actor: Actor, aliases: readonly string[]): void {
  if (aliases.some((alias) => alias !== 'latest')) demand(actor, 'operator')
}
