import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import protobuf from 'protobufjs'

/** What is read here of OpenTelemetry's `opentelemetry/proto/collector/trace/v1/trace_service.proto`, by field numbers. */
const SCHEMA = `
  syntax = "proto3";
  message Value { oneof of { string string = 1; bool bool = 2; int64 int = 3; double double = 4; List list = 5; } }
  message List { repeated Value values = 1; }
  message Attribute { string key = 1; Value value = 2; }
  message Resource { repeated Attribute attributes = 1; }
  message Link { bytes trace_id = 1; bytes span_id = 2; }
  message Status { string message = 2; int32 code = 3; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    fixed64 start = 7; fixed64 end = 8; repeated Attribute attributes = 9; repeated Link links = 13; Status status = 15;
  }
  message Scope { string name = 1; }
  message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Request { repeated ResourceSpans resource_spans = 1; }
`

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: number
  /** Milliseconds since 1970. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code?: number; readonly message?: string } | undefined
  readonly resource: Readonly<Record<string, unknown>>
}

export interface Receiver {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  readonly paths: readonly string[]
  stop(): Promise<void>
}

/** An OTLP/HTTP receiver that decodes what it is sent. */
export async function startReceiver(status = 200): Promise<Receiver> {
  const request = protobuf.parse(SCHEMA, { keepCase: false }).root.lookupType('Request')
  const spans: ReceivedSpan[] = []
  const paths: string[] = []
  const take = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of incoming) parts.push(part as Buffer)
    const body = Buffer.concat(parts)
    paths.push(`${incoming.method} ${incoming.url} ${incoming.headers['content-type']}`)
    const bytes = incoming.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    if (status === 200) spans.push(...spansOf(request.decode(bytes).toJSON() as Wire))
    outgoing.writeHead(status, { 'Content-Type': 'application/x-protobuf' }).end()
  }
  const server = createServer((incoming, outgoing) => void take(incoming, outgoing))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    paths,
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface WireAttribute {
  readonly key: string
  readonly value?: Readonly<Record<string, unknown>>
}
interface Wire {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly WireAttribute[] }
    readonly scopeSpans?: readonly { readonly spans?: readonly Readonly<Record<string, never>>[] }[]
  }[]
}

function spansOf({ resourceSpans = [] }: Wire): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) =>
    scopeSpans.flatMap(({ spans = [] }) =>
      spans.map((span) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
        name: span.name ?? '',
        kind: span.kind ?? 0,
        startMs: Number(BigInt(span.start ?? 0) / 1_000n) / 1_000,
        endMs: Number(BigInt(span.end ?? 0) / 1_000n) / 1_000,
        attributes: attributesOf(span.attributes),
        links: ((span.links ?? []) as { traceId: string; spanId: string }[]).map((link) => ({
          traceId: hex(link.traceId),
          spanId: hex(link.spanId),
        })),
        status: span.status,
        resource: attributesOf(resource?.attributes),
      })),
    ),
  )
}

function attributesOf(list: readonly WireAttribute[] = []): Record<string, unknown> {
  return Object.fromEntries(
    list.map(({ key, value = {} }) => [key, 'int' in value ? Number(value.int) : Object.values(value)[0]]),
  )
}

function hex(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString('hex')
}
