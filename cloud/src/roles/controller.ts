import {
  type ChunkRef,
  type Controller,
  codeOf,
  type Deployment,
  type DesiredState,
  definePlugin,
  type Manifest,
  readManifest,
  type Scope,
  tokens,
} from '@tideway/core'

/** Chunks that a device may fetch for a version: every variant's files and known answers (not the baseline). */
export function chunksForDevices(manifest: Manifest): ChunkRef[] {
  const refs = manifest.variants.flatMap((variant) =>
    [...variant.files, variant.knownAnswers].flatMap((blob) => blob.chunks),
  )
  return [...new Map(refs.map((ref) => [ref.sha256, ref])).values()]
}

/** Moves devices to versions. The store is the truth: at every start the link is given again what it should hold. */
export const controller = definePlugin({
  name: 'controller',
  provides: [tokens.controller],
  needs: [tokens.registry, tokens.chunkStore, tokens.deviceStore, tokens.auditLog, tokens.cloudLink, tokens.logger],
  register(scope) {
    // One deployment at a time: a link that keeps the last message must not keep the older of two generations.
    let last: Promise<unknown> = Promise.resolve()
    scope.provide(
      tokens.controller,
      (): Controller => ({
        deploy(order) {
          const mine = last.then(() => deploy(scope, order))
          last = mine.catch(() => undefined)
          return mine
        },
      }),
    )
    return { start: () => refill(scope) }
  },
})

async function deploy(scope: Scope, order: Parameters<Controller['deploy']>[0]): Promise<Deployment> {
  const { version, manifestDigest } = await scope.get(tokens.registry).resolve(order.model, order.version)
  await publishVersion(scope, manifestDigest)
  const models = { [order.model]: { version, manifestDigest } }
  const desired: DesiredState[] = []
  for (const device of order.devices ?? [undefined]) {
    const target = { fleet: order.fleet, ...(device !== undefined && { device }) }
    const state = await scope.get(tokens.deviceStore).setDesired(target, models)
    desired.push(state)
    await scope.get(tokens.cloudLink).publishDesired(target, state)
  }
  const deployment = {
    model: order.model,
    version,
    manifestDigest,
    fleet: order.fleet,
    devices: order.devices,
    desired,
    unaffected: order.devices ? [] : await devicesOfTheirOwn(scope, order.fleet, order.model, manifestDigest),
  }
  await scope.get(tokens.auditLog).append({
    actor: order.actor,
    address: order.address,
    requestId: order.requestId,
    action: 'desired.set',
    subject: `${order.fleet}/${order.devices?.join(',') ?? 'default'}`,
    data: { model: order.model, version, manifestDigest, generations: desired.map((state) => state.generation) },
  })
  return deployment
}

/** Devices of a fleet whose own desired state keeps them on another version of the model. */
async function devicesOfTheirOwn(scope: Scope, fleet: string, model: string, digest: string): Promise<string[]> {
  const all = await scope.get(tokens.deviceStore).allDesired()
  const others = all.filter((item) => item.fleet === fleet && item.desired.models[model]?.manifestDigest !== digest)
  return others.flatMap(({ device }) => (device === undefined ? [] : [device]))
}

/** Chunks acknowledged first, then the manifest: a device that sees a desired state can fetch all of it. */
async function publishVersion(scope: Scope, manifestDigest: string): Promise<void> {
  const link = scope.get(tokens.cloudLink)
  const chunks = scope.get(tokens.chunkStore)
  const bytes = await chunks.get(manifestDigest)
  for (const { sha256 } of chunksForDevices(readManifest(bytes))) {
    const chunk = await chunks.get(sha256)
    if (link.flags.carriesChunks) await link.putChunk(sha256, chunk)
  }
  if (link.flags.carriesChunks) await link.putChunk(manifestDigest, bytes)
}

/**
 * Gives the link again what it should hold. A version that cannot be published (a chunk damaged, a stream full) keeps
 * only its own desired states back: the API that repairs it must come up.
 */
async function refill(scope: Scope): Promise<void> {
  const link = scope.get(tokens.cloudLink)
  if (!link.flags.carriesDesired) return
  const logger = scope.get(tokens.logger)
  const all = await scope.get(tokens.deviceStore).allDesired()
  const digestsOf = ({ desired }: (typeof all)[number]) => Object.values(desired.models).map((m) => m.manifestDigest)
  const failed = new Set<string>()
  for (const digest of new Set(all.flatMap(digestsOf))) {
    await publishVersion(scope, digest).catch((error: unknown) => {
      failed.add(digest)
      logger.error('a version could not be published again', { digest, code: codeOf(error), error: String(error) })
    })
  }
  for (const item of all) {
    const { desired, ...target } = item
    if (!digestsOf(item).some((digest) => failed.has(digest))) await link.publishDesired(target, desired)
  }
  logger.info('link refilled', { desired: all.length, failedVersions: failed.size })
}
