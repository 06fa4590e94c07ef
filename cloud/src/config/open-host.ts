import type { ResolvedCloudConfig } from '@tideway/core'
import { isLoopback } from '@tideway/core/serving'

type Servers = Pick<ResolvedCloudConfig, 'http' | 'grpc'> & Partial<Pick<ResolvedCloudConfig, 'dataPlane'>>

/** Where the servers of a cloud listen: that which is open to others, where one is. */
export function openHostOf({ http, grpc, dataPlane }: Servers): string {
  const hosts = [http.host, ...(grpc ? [grpc.host] : []), ...(dataPlane ? [dataPlane.host] : [])]
  return hosts.find((host) => !isLoopback(host)) ?? http.host
}
