import { defineErrors, entry } from '@tideway/core'

/** What the gRPC face says beside the codes of core and of what it serves. */
export const { entries, errors } = defineErrors({
  GRPC_LISTEN_FAILED: entry<{ host: string; port: number; reason: string }>(
    500,
    (d) => `cannot listen for gRPC on ${d.host}:${d.port} (${d.reason})`,
    'Choose another port (0 takes a free one), or stop what uses it.',
  ),
  GRPC_TLS_INVALID: entry<{ what: string; reason: string }>(
    400,
    (d) => `${d.what} of the gRPC face cannot be used: ${d.reason}`,
    'Name files in PEM that this process may read: a certificate, its key, and to ask clients for theirs a CA.',
  ),
  GRPC_MESSAGE_INVALID: entry<{ what: string; bytes: number; reason: string }>(
    400,
    (d) => `${d.what} (${d.bytes} bytes) is no message of its type: ${d.reason}`,
    'Encode it by the .proto of the Open Inference Protocol; server reflection tells it.',
  ),
  GRPC_SERVICE_UNKNOWN: entry<{ service: string }>(
    404,
    (d) => `there is no service ${JSON.stringify(d.service)} here`,
    'Ask for the health of "inference.GRPCInferenceService", or with an empty name for that of the server.',
  ),
  GRPC_STOPPING: entry(503, () => 'this process stops', 'Ask another one, or this one again once it is back.'),
})
