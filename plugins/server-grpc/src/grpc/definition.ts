import type { DescService } from '@bufbuild/protobuf'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'

/**
 * A service for gRPC's library, which is to see the bytes of messages alone: what cannot be decoded is then answered by our own
 * codes, and nothing is decoded twice.
 */
export function definitionOf({ typeName, methods }: Pick<DescService, 'typeName' | 'methods'>): ServiceDefinition {
  return Object.fromEntries(
    methods.map(({ name, methodKind }) => {
      const requestStream = methodKind === 'client_streaming' || methodKind === 'bidi_streaming'
      const responseStream = methodKind === 'server_streaming' || methodKind === 'bidi_streaming'
      return [name, bytesMethod(`/${typeName}/${name}`, requestStream, responseStream)]
    }),
  )
}

function bytesMethod(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  const same = (message: Buffer) => message
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}
