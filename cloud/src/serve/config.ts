import { type CloudConfig, issuesOf } from '@tideway/core'
import { optionsSchema } from '@tideway/server-http'
import { loadConfig } from '../config/load.js'
import { cloudErrors } from '../errors.js'

const httpSchema = optionsSchema.pick({ cors: true, trustedProxies: true, stickyHeader: true }).partial()

/**
 * A configuration file, with what only the HTTP server can judge of it narrowed, too. Throws `FILE_NOT_LOADED`,
 * `CONFIG_INVALID`.
 */
export async function configIn(file: string): Promise<CloudConfig> {
  const config = await loadConfig(file)
  const { cors, trustedProxies, stickyHeader } = config.http ?? {}
  const { data, error } = httpSchema.safeParse({ cors, trustedProxies, stickyHeader })
  if (error)
    throw cloudErrors.CONFIG_INVALID({
      file,
      reason: issuesOf(error)
        .map((issue) => `http.${issue}`)
        .join('; '),
    })
  return { ...config, http: { ...config.http, ...data } }
}
