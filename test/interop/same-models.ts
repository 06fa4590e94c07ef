import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCloud } from '@tideway/cloud'
import { type DataType, resolveConfig, silentLogger, tokens } from '@tideway/core'
import { putTestVersion } from '../support/cloud-services.js'
import { everyType, identityModel } from '../support/onnx-models.js'

/** A cloud process whose models `same-TYPE` give back their input `x` as `y`, over HTTP and gRPC. */
export interface SameModels {
  readonly httpUrl: string
  readonly grpcUrl: string
  stop(): Promise<void>
}

export async function startSameModels(): Promise<SameModels> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-same-'))
  const config = { dir, roles: ['api' as const], http: { port: 0 }, grpc: { port: 0 }, broker: { port: 0 } }
  const cloud = await createCloud(resolveConfig(config), silentLogger)
  await cloud.start()
  const registry = cloud.get(tokens.registry)
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  for (const dtype of Object.keys(everyType) as DataType[]) {
    const model = `same-${dtype}`
    const { manifestDigest } = await putTestVersion(store, model, model, identityModel(dtype))
    await registry.register({ model, manifestDigest, aliases: ['latest'] })
  }
  return {
    httpUrl: String(cloud.get(tokens.server).url),
    grpcUrl: String(cloud.get(tokens.grpcServer).url),
    async stop() {
      await cloud.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
