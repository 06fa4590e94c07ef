import type { ResolvedCloudConfig } from '@tideway/core'

/** What a configuration says of the HTTP server, as the server takes it. */
export function httpOptions({ http, logs }: Pick<ResolvedCloudConfig, 'http' | 'logs'>) {
  const { host, port, cors, trustedProxies, stickyHeader, limits } = http
  const lists = { cors: { ...cors, origins: [...cors.origins] }, trustedProxies: [...trustedProxies] }
  return { host, port, stickyHeader, limits, ...lists, logRequests: logs.requests }
}
