import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Takes traces as a collector does and drops them. Says its URL on a line; `GET` answers how many bytes came. */
let bytes = 0
const server = createServer((request, response) => {
  request.on('data', (part: Buffer) => {
    bytes += part.length
  })
  request.on('end', () => response.end(request.method === 'GET' ? String(bytes) : undefined))
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
})
process.once('SIGTERM', () => process.exit(0))
