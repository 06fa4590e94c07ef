import { z } from 'zod'
import { ID, ID_RULE } from './id.js'

/** An id of a fleet, device, model, alias: safe in NATS subjects, MQTT topics, URLs and file names. */
export const idSchema = z.string().regex(ID, ID_RULE)

/** Lower-case hexadecimal SHA-256. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hexadecimal')
