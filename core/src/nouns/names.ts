import { z } from 'zod'
import { ID } from './id.js'

/** An id of a fleet, device, model, alias: safe in NATS subjects, MQTT topics, URLs and file names. */
export const idSchema = z
  .string()
  .regex(ID, 'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit')

/** Lower-case hexadecimal SHA-256. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hexadecimal')
