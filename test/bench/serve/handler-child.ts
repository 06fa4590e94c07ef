import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/**
 * The least that can be between HTTP and ONNX Runtime: a body of raw float32 to `session.run`, and its output's bytes back.
 * `FILE THREADS SHAPE`; the first dimension of the shape is the batch.
 */
const [file = '', threads = '1', shapeText = ''] = process.argv.slice(2)
const shape = shapeText.split(',').map(Number)
const session = await InferenceSession.create(await readFile(file), { intraOpNumThreads: Number(threads) })
const [input = ''] = session.inputNames
const [output = ''] = session.outputNames

async function answer(body: Buffer, response: ServerResponse): Promise<void> {
  const numbers = new Float32Array(body.buffer, body.byteOffset, body.byteLength / 4)
  const out = await session.run({ [input]: new Tensor('float32', numbers, shape) })
  const { buffer, byteOffset, byteLength } = out[output]!.data as Float32Array
  response.end(Buffer.from(buffer, byteOffset, byteLength))
}

const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => void answer(Buffer.concat(parts), response))
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
})
process.once('SIGTERM', () => process.exit(0))
