import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { codeOf } from '@tideway/core'
import { afterAll } from 'vitest'

/** A folder of this test file's own; `write` puts a file there and gives its path. */
export function testFolder(): {
  readonly dir: string
  readonly write: (name: string, content: string | Uint8Array) => string
} {
  const dir = mkdtempSync(join(tmpdir(), 'tideway-data-'))
  afterAll(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  return {
    dir,
    write(name, content) {
      const path = join(dir, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      return path
    },
  }
}

/** What a reader says of a file that it refuses: its code and issues. */
export async function refusal(
  read: Promise<unknown>,
): Promise<{ code: string | undefined; issues: readonly string[]; error: Error }> {
  try {
    await read
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const { issues } = (error as { data?: { issues?: readonly string[] } }).data ?? {}
    return { code: codeOf(error), issues: issues ?? [], error }
  }
  throw new Error('it was read')
}

/** The bytes of a file with some of them changed, cut off or repeated, by numbers from 0 to 1. */
export function damaged(
  bytes: Uint8Array,
  changes: readonly (readonly [at: number, to: number])[],
  keep: number,
): Buffer {
  const copy = Buffer.from(bytes)
  for (const [at, to] of changes) copy[Math.floor(at * copy.length)] = Math.floor(to * 256)
  return copy.subarray(0, Math.ceil(keep * copy.length))
}
