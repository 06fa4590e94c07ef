import type { ResolvedCloudConfig } from '@tideway/core'

/** What a configuration says of the gRPC server, as the server takes it: what is limited over HTTP is limited alike. */
export function grpcOptions({ grpc, http, logs }: Pick<ResolvedCloudConfig, 'grpc' | 'http' | 'logs'>) {
  const { stickyHeader, limits } = http
  const { maxInferBodyBytes: maxInferMessageBytes, stopGraceMs } = limits
  return { ...grpc, stickyHeader, logRequests: logs.requests, limits: { maxInferMessageBytes, stopGraceMs } }
}
