import { accessRoles, idSchema, MIN_KEY_LENGTH } from '@tideway/core'
import { z } from 'zod'
import { oidcSchema } from './oidc/options.js'

export const roleList = z.array(z.enum(accessRoles)).min(1).readonly()
export const modelList = z.array(idSchema).readonly()
export const deviceList = z
  .array(
    z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}\/([a-z0-9][a-z0-9_-]{0,62}|\*)$/, 'must be FLEET/DEVICE or FLEET/*'),
  )
  .readonly()

const keyText = z.string().min(MIN_KEY_LENGTH, `must have at least ${MIN_KEY_LENGTH} characters`)

const configuredKey = z.strictObject({
  key: keyText,
  /** In the audit log; by default the beginning of the key's SHA-256. */
  name: idSchema.optional(),
  roles: roleList.default(['admin']),
  models: modelList.optional(),
  devices: deviceList.optional(),
})

export const optionsSchema = z.strictObject({
  /**
   * Whether requests without credentials are refused. By default they are, unless `host` is loopback and neither keys nor
   * an issuer are configured. On loopback behind a proxy say true: there, everything seems to come from this machine.
   */
  required: z.boolean().optional(),
  /** Where the servers of this process listen. */
  host: z.string().min(1).default('127.0.0.1'),
  /** Keys beside those of the store, for the first steps; a text alone is one of the role admin. */
  apiKeys: z
    .array(z.union([keyText.transform((key) => configuredKey.parse({ key })), configuredKey]))
    .readonly()
    .default([]),
  oidc: oidcSchema.optional(),
})

export type AccessOptions = z.output<typeof optionsSchema>
export type AccessInput = z.input<typeof optionsSchema>
export type ConfiguredKey = z.output<typeof configuredKey>
