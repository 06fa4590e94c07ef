import { optionsSchema } from '@tideway/server-grpc'
import { type Listener, listen } from '@tideway/server-grpc/listen'
import { grpcOptions } from '../config/grpc-options.js'
import type { ServeConfig } from './serve.js'

/** The protocol over gRPC. Throws `CREDENTIALS_REQUIRED`, `GRPC_TLS_INVALID`, `GRPC_LISTEN_FAILED`. */
export function listenGrpc(services: Parameters<typeof listen>[0], config: ServeConfig): Promise<Listener> {
  return listen(services, optionsSchema.parse(grpcOptions(config)))
}
