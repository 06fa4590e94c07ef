import { type Access, type AccessRole, type Actor, allows, allowsModel, errors, type Origin } from '@tideway/core'
import type { Caller } from './door.js'

/** Methods that ask for no credentials, as the health of HTTP does not. */
const OPEN = new Set([
  '/inference.GRPCInferenceService/ServerLive',
  '/inference.GRPCInferenceService/ServerReady',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
])
/** Methods that change what runs; the others read and infer. */
const OPERATES = /^\/inference\.GRPCInferenceService\/RepositoryModel(Load|Unload)$/

/** Who has not said who it is. */
export const ANYONE: Actor = Object.freeze({ name: 'anyone', roles: Object.freeze([]) })

/** What is asked before a call is taken. */
export interface Knock {
  /** `/inference.GRPCInferenceService/ModelInfer` */
  readonly path: string
  readonly authorization: string | undefined
}

/** Who calls, at once where that is known already; throws (or rejects with) as `Access.identify`. */
export type Admit = (knock: Knock) => Actor | Promise<Actor>

/** Where credentials are required: on everything but health. No page can make a browser speak gRPC to loopback. */
export function admission(access: Access): Admit {
  return ({ path, authorization }) => {
    if (access.required && OPEN.has(path)) return ANYONE
    return access.identify({ authorization })
  }
}

/** Throws `ROLE_REQUIRED` for a method that the actor has no role for. */
export function demandMethod(actor: Actor, path: string): void {
  const role: AccessRole = OPERATES.test(path) ? 'operator' : 'viewer'
  if (!OPEN.has(path) && !allows(actor, role)) throw errors.ROLE_REQUIRED({ roles: [role] })
}

/** Throws `MODEL_FORBIDDEN` for a model out of the actor's scope. */
export function demandModel({ actor }: Pick<Caller, 'actor'>, model: string): void {
  if (!allowsModel(actor, model)) throw errors.MODEL_FORBIDDEN({ model: model.slice(0, 80) })
}

/** Who asks for a change, and from where, for the audit log. */
export function originOf({ actor, address, requestId }: Caller): Origin {
  return { actor: actor.name, requestId, ...(address !== undefined && { address }) }
}
