import { createRequire } from 'node:module'

/** What bit-identity depends on: kept in checkpoints. */
export function environmentOf(provider: string, threads: number, block?: number): Record<string, string | number> {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }
  return {
    engine: 'onnxruntime-node',
    version,
    provider,
    threads,
    platform: `${process.platform}-${process.arch}`,
    // Convolutions on blocks of channels sum in another order.
    ...(block !== undefined && { channelBlock: block }),
  }
}
