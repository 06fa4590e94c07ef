import {
  codeOf,
  errors as core,
  type DesiredModel,
  type EdgeLink,
  type Logger,
  type Manifest,
  type Runtime,
  readManifest,
  type Session,
  type Variant,
  limits as wire,
} from '@tideway/core'
import { errors } from '../errors.js'
import { type ActiveModel, createActive } from '../model/active.js'
import type { EdgeLimits } from '../options.js'
import type { ChunkFiles } from '../store/chunks.js'
import type { Installed } from '../store/pointers.js'
import { fetchChunks, type Wanted } from './fetch.js'
import { runKnownAnswers } from './known-answers.js'
import { createPace } from './pace.js'
import { checkSizes, chooseVariant, chunksOf, modelFileOf } from './variant.js'

export interface InstallerParts {
  readonly link: EdgeLink
  readonly runtime: Runtime
  readonly chunks: ChunkFiles
  readonly limits: EdgeLimits
  readonly logger: Logger
}

export interface InstallHooks {
  readonly signal: AbortSignal
  readonly onBytes: (bytes: number) => void
  /** Everything has arrived; what follows needs no network. */
  onVerifying(): void
}

/** Brings versions from the link or the disk to a loaded session. */
export interface Installer {
  /** Loads what was active before this start; needs no network. Throws what is wrong with it. */
  fromDisk(model: string, installed: Installed): Promise<ActiveModel>
  /** Fetches only what is not on disk, verifies, loads, and runs the known answers. Nothing is activated. */
  install(model: string, want: DesiredModel, hooks: InstallHooks): Promise<ActiveModel>
  /** The chunks that these versions need on disk. */
  chunksOf(installed: readonly Installed[]): Promise<Set<string>>
}

export function createInstaller({ link, runtime, chunks, limits, logger }: InstallerParts): Installer {
  const pace = createPace(limits)

  const manifestFromDisk = async (digest: string): Promise<Manifest> => readManifest(await chunks.get(digest))

  const fetchMissing = async (wanted: readonly Wanted[], hooks: InstallHooks): Promise<void> => {
    const missing: Wanted[] = []
    for (const chunk of wanted) {
      if (!(await chunks.has(chunk.sha256, chunk.size))) missing.push(chunk)
    }
    const { signal, onBytes } = hooks
    await fetchChunks(missing, { link, limits, pace, signal, onBytes, put: chunks.put })
  }

  const load = async (variant: Variant): Promise<Session> => {
    const [, ...others] = variant.files
    for (const file of others) await chunks.assemble(file)
    return await runtime.load(await chunks.assemble(modelFileOf(variant)))
  }

  const manifestOf = async (model: string, digest: string, hooks: InstallHooks): Promise<Manifest> => {
    const kept = await chunks.get(digest).catch((error: unknown) => {
      if (codeOf(error) !== 'CHUNK_NOT_FOUND') throw error
    })
    if (kept === undefined) {
      // Its size is not known before it is there; the limit stands for it in the time-out.
      const wanted = [{ sha256: digest, size: wire.maxManifestBytes }]
      await fetchChunks(wanted, { link, limits, pace, ...hooks, put: chunks.put })
    }
    const manifest = await manifestFromDisk(digest)
    if (manifest.model !== model) throw errors.MANIFEST_OTHER_MODEL({ model, manifest: manifest.model })
    return manifest
  }

  return {
    async fromDisk(model, installed) {
      const manifest = await manifestFromDisk(installed.manifestDigest)
      if (manifest.model !== model) throw errors.MANIFEST_OTHER_MODEL({ model, manifest: manifest.model })
      const variant = chooseVariant(manifest, runtime.flags, installed.variant)
      return createActive(installed, { manifest, variant, session: await load(variant) }, logger)
    },

    async install(model, want, hooks) {
      const { version, manifestDigest } = want
      const manifest = await manifestOf(model, manifestDigest, hooks)
      const variant = chooseVariant(manifest, runtime.flags, want.variant)
      checkSizes(variant, limits.maxModelBytes)
      const arrive = async () => {
        await fetchMissing(chunksOf(variant), hooks)
        hooks.onVerifying()
        return await load(variant)
      }
      const session = await arrive().catch((error: unknown) => {
        // A chunk of an earlier download was altered on disk; it is gone now and can be fetched.
        if (codeOf(error) !== 'EDGE_STORE_CORRUPT') throw error
        return arrive()
      })
      try {
        await runKnownAnswers(session, await chunks.assemble(variant.knownAnswers), variant.knownAnswers)
        hooks.signal.throwIfAborted()
      } catch (error) {
        await session.dispose()
        throw error
      }
      return createActive({ version, manifestDigest, variant: variant.id }, { manifest, variant, session }, logger)
    },

    async chunksOf(installed) {
      const wanted = new Set<string>()
      for (const { manifestDigest, variant: id } of installed) {
        wanted.add(manifestDigest)
        const manifest = await manifestFromDisk(manifestDigest).catch(() => undefined)
        const variant = manifest?.variants.find((candidate) => candidate.id === id)
        for (const { sha256 } of variant === undefined ? [] : chunksOf(variant)) wanted.add(sha256)
      }
      return wanted
    },
  }
}

/** Whether trying the same version again, with nothing else changed, can come out otherwise. */
export function mayRecover(code: string | undefined): boolean {
  return code === undefined || !FINAL.has(code)
}

const FINAL = new Set<string>([
  'KNOWN_ANSWERS_MISMATCH',
  'MODEL_DIGEST_MISMATCH',
  'MANIFEST_OTHER_MODEL',
  'VARIANT_UNSUPPORTED',
  ...([
    'MODEL_INVALID',
    'INPUT_REJECTED',
    'JSON_INVALID',
    'TOO_LARGE',
    'MANIFEST_TOO_LARGE',
    'TENSORS_INVALID',
  ] satisfies (keyof typeof core)[]),
])
