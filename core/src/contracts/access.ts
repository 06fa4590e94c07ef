/**
 * What somebody may do. `viewer` reads and infers. `operator` runs what is there: deploys, moves aliases and traffic, loads
 * and unloads. `publisher` brings new things in: versions, blobs, jobs, runs; what a trainer node needs. Both include viewer,
 * neither the other. `device` speaks for devices: it fetches desired state and chunks, and reports. `admin` includes all, and
 * alone sees keys and the audit log.
 */
export const accessRoles = ['viewer', 'operator', 'publisher', 'device', 'admin'] as const
export type AccessRole = (typeof accessRoles)[number]

/** Characters of a key; shorter ones could be guessed: 16 of base64 are 96 bits. */
export const MIN_KEY_LENGTH = 16

/** What each role includes, itself too. */
const included: Readonly<Record<AccessRole, readonly AccessRole[]>> = {
  viewer: ['viewer'],
  operator: ['operator', 'viewer'],
  publisher: ['publisher', 'viewer'],
  device: ['device'],
  admin: accessRoles,
}

/** Which of the things that roles permit somebody may touch; what is left out is not restricted. */
export interface AccessScope {
  readonly models?: readonly string[]
  /** `FLEET/DEVICE`, or `FLEET/*` for every device of a fleet. */
  readonly devices?: readonly string[]
}

/** Who asks. */
export interface Actor extends AccessScope {
  /** As the audit log has it: `key:ci`, `oidc:<sub>`, `local`. */
  readonly name: string
  readonly roles: readonly AccessRole[]
}

/** Who asked for a change, and from where, for the audit log. */
export interface Origin {
  readonly actor: string
  /** Of the peer, or of the one for whom a trusted proxy asks. */
  readonly address?: string
  readonly requestId?: string
}

/** What a request brings along. Never changed: what was read out of one may be kept, for requests that bring the same object. */
export interface Credentials {
  /** The header, or gRPC metadata, of that name: `Bearer <key or token>`. */
  readonly authorization?: string
}

/** Who asks, whatever protocol carried it. Every server of the cloud asks it, for each request. */
export interface Access {
  /** Whether requests without credentials are refused. A server may listen beyond loopback only if they are. */
  readonly required: boolean
  /**
   * At once where the credentials are known already, so that the way of an inference request stays synchronous. Without
   * credentials, where they are not required: `localActor`; credentials that are given must be valid all the same.
   * Throws (or rejects with) `UNAUTHORIZED`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `ISSUER_UNAVAILABLE`, `STORE_UNAVAILABLE`.
   */
  identify(credentials: Credentials): Actor | Promise<Actor>
  /** With which parts of this process (a trainer) ask its own server; made anew by each process. */
  readonly processKey?: string
  /** Where keys can be made. */
  readonly keys?: Keys
}

/** A key as it may be shown: what it opens is not in it. */
export interface KeyRecord extends AccessScope {
  readonly id: string
  /** Free text, for people and for the audit log. */
  readonly name: string
  readonly roles: readonly AccessRole[]
  readonly createdAt: string
  readonly createdBy: string
  readonly expiresAt?: string
  readonly revokedAt?: string
  /** To about a minute. */
  readonly lastUsedAt?: string
}

export interface KeyOrder extends AccessScope {
  readonly name: string
  readonly roles: readonly AccessRole[]
  readonly expiresAt?: string
}

/** API keys: made, listed, revoked. */
export interface Keys {
  /** `key` is shown this once: only a digest of it is kept. */
  create(order: KeyOrder, createdBy: string): Promise<{ key: string; record: KeyRecord }>
  /** Newest first, with those that were revoked or have expired. */
  list(): Promise<KeyRecord[]>
  /** Refused from now on in this process, within a second in others. Again is harmless. Throws `KEY_NOT_FOUND`. */
  revoke(id: string): Promise<KeyRecord>
}

/** Who asks where nobody has to say: on loopback. */
export const localActor: Actor = Object.freeze({ name: 'local', roles: Object.freeze(['admin'] as const) })

/** Lets everybody on loopback do everything: where nothing else says who may. */
export const openAccess: Access = Object.freeze({ required: false, identify: () => localActor })

/** Has the actor the role (or one that includes it), and may it touch the model, if one is named? */
export function allows(actor: Actor, role: AccessRole, model?: string): boolean {
  if (model !== undefined && !allowsModel(actor, model)) return false
  return actor.roles.some((own) => included[own].includes(role))
}

export function allowsModel({ models }: AccessScope, model: string): boolean {
  return models === undefined || models.includes(model)
}

export function allowsDevice({ devices }: AccessScope, fleet: string, device: string): boolean {
  return devices === undefined || devices.includes(`${fleet}/*`) || devices.includes(`${fleet}/${device}`)
}

/** Whether a server that listens on this host can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
}
