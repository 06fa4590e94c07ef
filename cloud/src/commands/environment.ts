import type { CloudConfig } from '@tideway/core'

/**
 * With a key of the role admin from TIDEWAY_ADMIN_KEY, where there is one: for the first steps, where a file or a command line
 * would be read by others.
 */
export function withKeyOfEnvironment(config: CloudConfig): CloudConfig {
  const key = process.env.TIDEWAY_ADMIN_KEY
  if (key === undefined || key === '') return config
  return {
    ...config,
    http: { ...config.http, apiKeys: [...(config.http?.apiKeys ?? []), { key, name: 'environment' }] },
  }
}
