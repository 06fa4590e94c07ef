import type { CloudConfig } from '@tideway/core'
import { MIN_KEY_LENGTH } from '@tideway/core/serving'
import { cloudErrors } from '../errors.js'

/**
 * With a key of the role admin from TIDEWAY_ADMIN_KEY, where there is one: for the first steps, where a file or a command line
 * would be read by others. Throws `ADMIN_KEY_TOO_SHORT`.
 */
export function withKeyOfEnvironment(config: CloudConfig): CloudConfig {
  const key = process.env.TIDEWAY_ADMIN_KEY
  if (key === undefined || key === '') return config
  if (key.length < MIN_KEY_LENGTH)
    throw cloudErrors.ADMIN_KEY_TOO_SHORT({ characters: key.length, least: MIN_KEY_LENGTH })
  return {
    ...config,
    http: { ...config.http, apiKeys: [...(config.http?.apiKeys ?? []), { key, name: 'environment' }] },
  }
}
