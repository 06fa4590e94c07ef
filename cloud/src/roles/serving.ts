import {
  definePlugin,
  errors,
  readManifest,
  type Scope,
  type Serving,
  type Session,
  tokens,
  type VersionRecord,
} from '@tideway/core'

/** Versions kept loaded; the least recently used one is disposed of for another. */
const MAX_SESSIONS = 8

/** Online inference in the cloud: each version's preferred variant, loaded on first use. */
export const serving = definePlugin({
  name: 'serving',
  provides: [tokens.serving],
  needs: [tokens.registry, tokens.chunkStore, tokens.runtime],
  register(scope) {
    const sessions = new Map<string, Promise<Session>>()

    function sessionOf({ manifestDigest }: VersionRecord): Promise<Session> {
      const session = sessions.get(manifestDigest) ?? load(scope, manifestDigest)
      session.catch(() => forget(manifestDigest, session))
      // Put last again: a Map keeps the order of insertion, so the first is the least recently used.
      sessions.delete(manifestDigest)
      sessions.set(manifestDigest, session)
      const [oldest] = sessions
      if (sessions.size > MAX_SESSIONS && oldest) {
        forget(...oldest)
        // One that did not load has nothing to free; whoever asked for it was told why.
        oldest[1].then((old) => old.dispose()).catch(() => undefined)
      }
      return session
    }

    /** Forgets this session, but not one that was loaded in its place since. */
    function forget(manifestDigest: string, session: Promise<Session>): void {
      if (sessions.get(manifestDigest) === session) sessions.delete(manifestDigest)
    }

    scope.provide(
      tokens.serving,
      (): Serving => ({
        async metadata(model, wanted = 'latest') {
          const version = await scope.get(tokens.registry).resolve(model, wanted)
          const { signature } = await sessionOf(version)
          const versions = (await scope.get(tokens.registry).versions(model)).map((record) => String(record.version))
          return { version, versions, platform: 'onnx_onnxruntime', signature }
        },
        async infer(model, wanted = 'latest', inputs) {
          const version = await scope.get(tokens.registry).resolve(model, wanted)
          for (;;) {
            const loading = sessionOf(version)
            const session = await loading
            try {
              return { version, outputs: await session.run(inputs) }
            } catch (error) {
              // Evicted between the look-up and the run: load it again.
              if (!(error instanceof Error && 'code' in error && error.code === 'SESSION_DISPOSED')) throw error
              forget(version.manifestDigest, loading)
            }
          }
        },
      }),
    )
    return {
      async stop() {
        const loaded = await Promise.allSettled(sessions.values())
        sessions.clear()
        for (const result of loaded) if (result.status === 'fulfilled') await result.value.dispose()
      },
    }
  },
})

async function load(scope: Scope, manifestDigest: string): Promise<Session> {
  const chunks = scope.get(tokens.chunkStore)
  const runtime = scope.get(tokens.runtime)
  const manifest = readManifest(await chunks.get(manifestDigest))
  const variant = manifest.variants.find((v) => runtime.flags.formats.includes(v.format))
  if (!variant) throw errors.MODEL_INVALID({ reason: `no variant that ${runtime.name} can run` })
  const file = variant.files[0]!
  const bytes = new Uint8Array(file.size)
  let at = 0
  for (const { sha256 } of file.chunks) {
    const chunk = await chunks.get(sha256)
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return runtime.load(bytes)
}
