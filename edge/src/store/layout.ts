import { join } from 'node:path'

/** Where everything is in a device's folder. */
export interface Layout {
  readonly dir: string
  /** Half-written files; emptied at every start. */
  readonly temporary: string
  readonly chunks: string
  readonly models: string
  readonly outbox: string
  readonly identity: string
  /** A folder of numbered locks. */
  readonly lock: string
  readonly desired: string
  chunk(sha256: string): string
  pointer(model: string): string
  boot(boot: string): string
  report(boot: string, seq: number): string
}

export function layoutOf(dir: string): Layout {
  const chunks = join(dir, 'chunks')
  const models = join(dir, 'models')
  const outbox = join(dir, 'outbox')
  return {
    dir,
    temporary: join(dir, 'tmp'),
    chunks,
    models,
    outbox,
    identity: join(dir, 'identity.json'),
    lock: join(dir, 'lock'),
    desired: join(dir, 'desired.json'),
    chunk: (sha256) => join(chunks, sha256.slice(0, 2), sha256),
    pointer: (model) => join(models, `${model}.json`),
    boot: (boot) => join(outbox, boot),
    report: (boot, seq) => join(outbox, boot, `${seq}.json`),
  }
}
