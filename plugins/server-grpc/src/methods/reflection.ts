import { create, type DescFile, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { nestedTypes } from '@bufbuild/protobuf/reflect'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { type handleBidiStreamingCall, status } from '@grpc/grpc-js'
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from '../generated/reflection_pb.js'
import { bufferOf, type Calls, contextOf } from '../grpc/calls.js'
import { failureOf, ours, trailerOf } from '../grpc/status.js'
import { reading } from '../wire/reader.js'

type Response = MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']

/** Which file describes a name: of a service, one of its methods, a message or an enumeration. */
function symbolsOf(files: readonly DescFile[]): ReadonlyMap<string, DescFile> {
  const found = new Map<string, DescFile>()
  for (const file of files)
    for (const type of nestedTypes(file)) {
      found.set(type.typeName, file)
      if (type.kind === 'service') for (const { name } of type.methods) found.set(`${type.typeName}.${name}`, file)
    }
  return found
}

/**
 * gRPC's server reflection over the files that describe what is served, none of which imports another: for grpcurl and its
 * like. Requests are answered one by one.
 */
export function reflection(
  files: readonly DescFile[],
  { door, logger, stopping }: Calls & { readonly stopping: AbortSignal },
): handleBidiStreamingCall<Buffer, Buffer> {
  const symbols = symbolsOf(files)
  const names = files.flatMap((file) => file.services.map(({ typeName }) => typeName))
  const described = (file: DescFile | undefined, name: string): Response =>
    file
      ? {
          case: 'fileDescriptorResponse',
          value: { fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, file.proto)] },
        }
      : refused(status.NOT_FOUND, `nothing here is named ${name.slice(0, 80)}`)

  const answer = ({ messageRequest: asked }: ServerReflectionRequest): Response => {
    switch (asked.case) {
      case 'listServices':
        return { case: 'listServicesResponse', value: { service: names.map((name) => ({ name })) } }
      case 'fileByFilename':
        return described(
          files.find((file) => file.proto.name === asked.value),
          asked.value,
        )
      case 'fileContainingSymbol':
        return described(symbols.get(asked.value), asked.value)
      case 'fileContainingExtension':
      case 'allExtensionNumbersOfType':
        return refused(status.NOT_FOUND, 'there are no extensions here')
      default:
        return refused(status.INVALID_ARGUMENT, 'the request asks for nothing')
    }
  }

  return (call) => {
    const context = contextOf(call, door)
    const { requestId } = context
    const stop = () => call.end(trailerOf(requestId))
    stopping.addEventListener('abort', stop)
    call.on('cancelled', () => stopping.removeEventListener('abort', stop))
    call.on('end', stop)
    call.on('data', (message: Buffer) => {
      try {
        const originalRequest = reading('the ServerReflectionRequest', message, (bytes) =>
          fromBinary(ServerReflectionRequestSchema, bytes),
        )
        const { host: validHost } = originalRequest
        const response = { validHost, originalRequest, messageResponse: answer(originalRequest) }
        call.write(bufferOf(toBinary(ServerReflectionResponseSchema, create(ServerReflectionResponseSchema, response))))
      } catch (error) {
        call.emit('error', failureOf(ours(error, context, logger), requestId))
      }
    })
  }
}

function refused(errorCode: status, errorMessage: string): Response {
  return { case: 'errorResponse', value: { errorCode, errorMessage } }
}
