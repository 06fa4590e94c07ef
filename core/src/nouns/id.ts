import { errors } from '../errors.js'

export const ID = /^[a-z0-9][a-z0-9_-]{0,62}$/
export const ID_RULE = 'must be 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit'

/** Whether it may be the id of a fleet, device, model or alias: safe in NATS subjects, MQTT topics, URLs and file names. */
export function isId(name: string): boolean {
  return ID.test(name)
}

/** Returns the id, or throws `NAME_INVALID`. */
export function checkId(noun: string, name: string): string {
  if (!isId(name)) throw errors.NAME_INVALID({ noun, name })
  return name
}
