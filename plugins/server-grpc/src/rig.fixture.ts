import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  type status,
} from '@grpc/grpc-js'
import { optionsSchema as accessSchema, createAccess } from '@tideway/access'
import { openAccess, Statistics, silentLogger } from '@tideway/core'
import { bufferOf } from './grpc/calls.js'
import { type Listener, listen } from './listen.js'
import { optionsSchema } from './options.js'
import type { Services } from './services.js'

/** A real client. */
export interface Asking {
  readonly client: Client
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    given?: Given,
  ): Promise<MessageShape<O>>
  /** A call with these bytes, whatever they are. */
  bytes(path: string, message: Uint8Array, given?: Given): Promise<Buffer>
  /** A stream both ways, whose messages are their bytes. */
  stream(path: string, given?: Given): ClientDuplexStream<Uint8Array, Buffer>
}

/** A real server on a free port of loopback, and a client of it. */
export interface Rig extends Listener, Asking {
  readonly address: string
  /** Stops the server alone. */
  stopListening(): Promise<void>
  /** A further client, with options of gRPC's library. */
  another(options: ChannelOptions): Asking
}

export interface Given {
  readonly metadata?: Readonly<Record<string, string>>
  readonly options?: CallOptions
}

/** What a call that failed tells. */
export interface Refusal {
  readonly code: status
  readonly details: string
  readonly tidewayCode: string | undefined
}

/** `access` among the options: those of the plugin that says who may ask. */
export async function startRig(
  services: Partial<Services>,
  options: Record<string, unknown> = {},
  creds: ChannelCredentials = credentials.createInsecure(),
): Promise<Rig> {
  const { access, ...rest } = options
  const opened = access === undefined ? undefined : createAccess(accessSchema.parse(access))
  await opened?.open()
  const whole = { statistics: new Statistics(), logger: silentLogger, access: opened ?? openAccess, ...services }
  const listener = await listen(whole, optionsSchema.parse({ port: 0, ...rest }))
  const address = new URL(listener.url).host
  const clients: Client[] = []
  const another = (channel: ChannelOptions) => {
    const client = new Client(address, creds, { 'grpc.max_receive_message_length': -1, ...channel })
    clients.push(client)
    return asking(client)
  }
  return {
    ...listener,
    ...another({}),
    address,
    another,
    stopListening: () => listener.stop(),
    async stop() {
      for (const client of clients) client.close()
      await listener.stop()
      await opened?.close()
    },
  }
}

function asking(client: Client): Asking {
  const bytes: Asking['bytes'] = (path, message, given = {}) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, bufferOf, same, message, metadataOf(given), given.options ?? {}, (error, answer) =>
        error ? reject(error) : resolve(answer as Buffer),
      )
    })
  return {
    client,
    bytes,
    stream: (path, given = {}) =>
      client.makeBidiStreamRequest(path, bufferOf, same, metadataOf(given), given.options ?? {}),
    async call({ input, output, parent, name }, request, given) {
      const message = toBinary(input, create(input, request))
      return fromBinary(output, await bytes(`/${parent.typeName}/${name}`, message, given))
    },
  }
}

const same = (received: Buffer) => received

export function metadataOf({ metadata = {} }: Given): Metadata {
  const made = new Metadata()
  for (const [key, value] of Object.entries(metadata)) made.set(key, value)
  return made
}

/** What a call is refused with; fails where it is not. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal & { readonly metadata: Metadata }> {
  const answer: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (answer === undefined) throw new Error('the call was answered')
  const { code, details, metadata } = answer as ServiceError
  const [tidewayCode] = metadata.get('tideway-code')
  return { code, details, tidewayCode: tidewayCode?.toString(), metadata }
}
