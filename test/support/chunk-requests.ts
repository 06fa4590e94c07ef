import { type ProxyOptions, startProxy, type TestProxy } from './proxy.js'

/** A proxy that also reads which chunks are asked for through it, over HTTP or NATS. */
export interface ChunkProxy extends TestProxy {
  /** Digests in the order of the requests; a chunk asked for twice is there twice. */
  requests(): string[]
}

const REQUEST = /(?:GET \/v1\/chunks\/|\.DIRECT\.GET\.TIDEWAY_CHUNKS\.tideway\.v1\.chunk\.)([0-9a-f]{64})/g

export async function startChunkProxy(targetPort: number, options: ProxyOptions = {}): Promise<ChunkProxy> {
  const pieces: Buffer[] = []
  const proxy = await startProxy(targetPort, {
    ...options,
    onUp(piece) {
      pieces.push(piece)
      options.onUp?.(piece)
    },
  })
  return {
    ...proxy,
    requests: () => Array.from(Buffer.concat(pieces).toString('latin1').matchAll(REQUEST), ([, sha256]) => sha256!),
  }
}
