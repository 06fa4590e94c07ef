import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'

export { status as grpcStatus } from '@grpc/grpc-js'

const same = (bytes: Buffer): Buffer => bytes

/** A call of `GRPCInferenceService` at `grpc://HOST:PORT`, as bytes both ways, by gRPC's own client: the answer, or what it failed with. */
export async function callGrpc(
  url: string,
  method: string,
  message: Uint8Array = new Uint8Array(0),
  headers: Readonly<Record<string, string>> = {},
): Promise<Buffer | ServiceError> {
  const client = new Client(new URL(url).host, credentials.createInsecure())
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  try {
    return await new Promise((resolve) => {
      const path = `/inference.GRPCInferenceService/${method}`
      client.makeUnaryRequest(path, same, same, Buffer.from(message), metadata, (error, bytes) =>
        resolve(error ?? bytes ?? Buffer.alloc(0)),
      )
    })
  } finally {
    client.close()
  }
}

/** A `ModelInferRequest` of one row of FP32 for the input `x`, its numbers behind it. */
export function inferMessage(model: string, row: readonly number[]): Buffer {
  const bytes = (field: number, value: Uint8Array) => [(field << 3) | 2, value.byteLength, ...value]
  const text = (field: number, value: string) => bytes(field, Buffer.from(value))
  const tensor = [...text(1, 'x'), ...text(2, 'FP32'), ...bytes(3, Uint8Array.of(1, row.length))]
  const raw = new Uint8Array(Float32Array.from(row).buffer)
  return Buffer.from([...text(1, model), ...bytes(5, Uint8Array.from(tensor)), ...bytes(7, raw)])
}
