import { type DesiredState, desiredModelSchema, desiredSchema, idSchema, type Logger } from '@tideway/core'
import { namesIn } from './chunks.js'
import { readIfThere, removeFile, writeDurably } from './files.js'
import type { Layout } from './layout.js'

/** One version on this device: its manifest and which variant of it was chosen. */
export interface Installed {
  readonly version: number
  readonly manifestDigest: string
  readonly variant: string
}

/** What is active of one model, and what was before it: the way back needs no network. */
export interface Pointer {
  readonly model: string
  readonly generation: number
  readonly active: Installed
  readonly previous?: Installed
}

/** One small file per model, and the last desired state that was accepted. */
export interface Pointers {
  read(): Promise<Pointer[]>
  write(pointer: Pointer): Promise<void>
  remove(model: string): Promise<void>
  readDesired(): Promise<DesiredState | undefined>
  writeDesired(desired: DesiredState): Promise<void>
}

export function createPointers(layout: Layout, logger: Logger): Pointers {
  const readJson = async (path: string): Promise<unknown> => {
    const bytes = await readIfThere(path)
    if (bytes === undefined) return undefined
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch {
      return undefined
    }
  }
  return {
    async read() {
      const found: Pointer[] = []
      for (const name of await namesIn(layout.models)) {
        const model = name.replace(/\.json$/, '')
        const pointer = narrowPointer(model, await readJson(layout.pointer(model)))
        // Its chunks are still there: the next desired state activates it again without fetching.
        if (pointer === undefined) logger.warn('an active pointer is damaged and was ignored', { file: name })
        else found.push(pointer)
      }
      return found
    },
    async write(pointer) {
      await writeDurably(layout.temporary, layout.pointer(pointer.model), JSON.stringify({ v: 1, ...pointer }))
    },
    async remove(model) {
      await removeFile(layout.pointer(model))
    },
    async readDesired() {
      const desired = desiredSchema.safeParse(await readJson(layout.desired))
      return desired.success ? desired.data : undefined
    },
    async writeDesired(desired) {
      await writeDurably(layout.temporary, layout.desired, JSON.stringify(desired))
    },
  }
}

function narrowPointer(model: string, value: unknown): Pointer | undefined {
  if (!idSchema.safeParse(model).success || typeof value !== 'object' || value === null) return undefined
  const { generation, active: rawActive, previous: rawPrevious } = value as Record<string, unknown>
  const active = narrowInstalled(rawActive)
  const previous = narrowInstalled(rawPrevious)
  if (active === undefined || typeof generation !== 'number' || !Number.isSafeInteger(generation)) return undefined
  return previous === undefined ? { model, generation, active } : { model, generation, active, previous }
}

function narrowInstalled(value: unknown): Installed | undefined {
  const { success, data } = desiredModelSchema.safeParse(value)
  if (!success || data.variant === undefined) return undefined
  return { version: data.version, manifestDigest: data.manifestDigest, variant: data.variant }
}
