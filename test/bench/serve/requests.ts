/** A body and its headers. */
export interface Body {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** A row of grey values as a client would have them: three digits each. */
const row = (size: number): number[] =>
  Array.from({ length: size }, (_, at) => Math.round(Math.abs(Math.sin(at)) * 1000) / 1000)
const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

export const raw = (shape: readonly number[]): Body => ({
  headers: { 'content-type': 'application/octet-stream' },
  body: Buffer.from(Float32Array.from(row(count(shape))).buffer),
})

/** The Open Inference Protocol in JSON. */
export function json(shape: readonly number[]): Body {
  const inputs = [{ name: 'x', datatype: 'FP32', shape, data: row(count(shape)) }]
  return { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ inputs })) }
}

/** With its tensors behind the JSON, in and out. */
export function binary(shape: readonly number[]): Body {
  const { body } = raw(shape)
  const inputs = [{ name: 'x', datatype: 'FP32', shape, parameters: { binary_data_size: body.length } }]
  const head = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }))
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) }
  return { headers, body: Buffer.concat([head, body]) }
}
