import {
  type BlobRef,
  type ChunkRef,
  errors as core,
  type Manifest,
  type RuntimeFlags,
  type Variant,
} from '@tideway/core'
import { errors } from '../errors.js'

/** What a need of a variant is held against, by the need's beginning. */
const ABILITIES: Readonly<Record<string, (flags: RuntimeFlags) => readonly string[]>> = {
  provider: ({ providers }) => providers,
  operator: ({ operators = [] }) => operators,
}

/**
 * The variant to run: the one the operator insists on, else the first in the manifest's order that the runtime can
 * run. Throws `VARIANT_UNSUPPORTED`.
 */
export function chooseVariant(manifest: Manifest, flags: RuntimeFlags, insistedOn?: string): Variant {
  const candidates = manifest.variants.filter(({ id }) => insistedOn === undefined || id === insistedOn)
  const chosen = candidates.find((variant) => canRun(variant, flags))
  if (chosen !== undefined) return chosen
  throw errors.VARIANT_UNSUPPORTED({
    variants: insistedOn === undefined ? manifest.variants.map(({ id }) => id) : [insistedOn],
    formats: flags.formats,
    precisions: flags.precisions,
  })
}

/** An ability that this agent does not know counts as one that the device does not have. */
function canRun(variant: Variant, flags: RuntimeFlags): boolean {
  return (
    flags.formats.includes(variant.format) &&
    flags.precisions.includes(variant.precision) &&
    variant.requires.every((need) => has(flags, need))
  )
}

function has(flags: RuntimeFlags, need: string): boolean {
  const colon = need.indexOf(':')
  const kind = need.slice(0, colon)
  return Object.hasOwn(ABILITIES, kind) && (ABILITIES[kind]?.(flags).includes(need.slice(colon + 1)) ?? false)
}

/** The model file; a variant's first. */
export function modelFileOf(variant: Variant): BlobRef {
  const file = variant.files[0]
  if (file === undefined) throw core.INPUT_REJECTED({ what: 'manifest', issues: [`variant ${variant.id} has no file`] })
  return file
}

/** Everything of a variant that a device keeps, without repetition. */
export function chunksOf(variant: Variant): ChunkRef[] {
  const chunks = [...variant.files, variant.knownAnswers].flatMap((blob) => blob.chunks)
  return [...new Map(chunks.map((chunk) => [chunk.sha256, chunk])).values()]
}

/**
 * Refuses, before anything is fetched, what would not fit this device or cannot be true. Throws `TOO_LARGE`,
 * `INPUT_REJECTED`.
 */
export function checkSizes(variant: Variant, maxModelBytes: number): void {
  const blobs = [...variant.files, variant.knownAnswers]
  const issues = blobs.flatMap((blob) => {
    const sum = blob.chunks.reduce((total, { size }) => total + size, 0)
    return sum === blob.size ? [] : [`file ${blob.sha256} has ${blob.size} bytes, its chunks ${sum}`]
  })
  if (issues.length > 0) throw core.INPUT_REJECTED({ what: `variant ${variant.id}`, issues })
  const bytes = blobs.reduce((total, { size }) => total + size, 0)
  if (bytes > maxModelBytes) throw core.TOO_LARGE({ what: `variant ${variant.id}`, bytes, maxBytes: maxModelBytes })
}
