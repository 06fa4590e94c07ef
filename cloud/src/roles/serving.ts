import {
  codeOf,
  definePlugin,
  errors,
  readManifest,
  type Scope,
  type Serving,
  type Session,
  type Tensors,
  tokens,
} from '@tideway/core'
import { ModelHost } from './model-host.js'

const MAX_SESSIONS = 8

/** Online inference in the cloud: each version's preferred variant, loaded on first use. */
export const serving = definePlugin({
  name: 'serving',
  provides: [tokens.serving],
  needs: [tokens.registry, tokens.chunkStore, tokens.runtime],
  register(scope) {
    const registry = () => scope.get(tokens.registry)
    const host = new ModelHost({ registry, load: (digest) => load(scope, digest), maxSessions: MAX_SESSIONS })

    scope.provide(
      tokens.serving,
      (): Serving => ({
        async metadata(model, wanted = 'latest') {
          const version = await registry().resolve(model, wanted)
          const { signature } = await host.session(version)
          const versions = (await registry().versions(model)).map((record) => String(record.version))
          return { version, versions, platform: 'onnx_onnxruntime', signature }
        },
        async infer(model, wanted = 'latest', inputs) {
          const called = performance.now()
          const version = await registry().resolve(model, wanted)
          for (;;) {
            const loading = host.session(version)
            const session = await loading
            const started = performance.now()
            try {
              const outputs = await session.run(inputs)
              const timing = {
                queueNs: nanoseconds(started - called),
                runNs: nanoseconds(performance.now() - started),
                batchSize: batchSizeOf(session, inputs),
              }
              return { version, outputs, timing }
            } catch (error) {
              // Evicted between the look-up and the run: load it again.
              if (codeOf(error) !== 'SESSION_DISPOSED') throw error
              host.forget(version.manifestDigest, loading)
            }
          }
        },
        index: () => host.index(),
        load: (model) => host.load(model),
        unload: (model) => host.unload(model),
      }),
    )
    return { stop: () => host.close() }
  },
})

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}

function batchSizeOf({ signature }: Session, inputs: Tensors): number {
  const [first] = signature.inputs
  const batched = first !== undefined && signature.inputs.every(({ shape }) => shape[0] === null)
  return batched ? (inputs[first.name]?.shape[0] ?? 1) : 1
}

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
