import {
  createHost,
  definePlugin,
  type Host,
  type Serving,
  silentLogger,
  type Token,
  type Traffic,
  tokens,
} from '@tideway/core'
import { GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { putTestVersion, type TestServices } from '@tideway/test/support/cloud-services'
import { serving } from '../roles/serving.js'

export interface Rig {
  readonly host: Host
  readonly serving: Required<Serving>
  readonly traffic: Traffic
}

/** A process that serves what the store of `services` has; several may share it. */
export async function startServing(services: TestServices, maxModels = 64): Promise<Rig> {
  const host = createHost()
  host.use(
    giving(tokens.registry, services.registry),
    giving(tokens.chunkStore, services.chunkStore),
    giving(tokens.trafficStore, services.trafficStore),
    giving(tokens.runtime, createOnnxNodeRuntime()),
    giving(tokens.logger, silentLogger),
    serving({ maxModels }),
  )
  await host.start()
  return { host, serving: host.get(tokens.serving) as Required<Serving>, traffic: host.get(tokens.traffic) }
}

export function giving<T>(token: Token<T>, thing: T) {
  return definePlugin({
    name: `given-${String(token)}`,
    provides: [token],
    register: (scope) => scope.provide(token, () => thing),
  })()
}

/** y = x + number, over rows of so many columns: one that `latest` names from now on. */
export async function registerAdding(
  services: TestServices,
  model: string,
  number: number,
  columns = 2,
): Promise<void> {
  const g = new GraphBuilder('adding')
  const added = g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(number) })
  g.output('y', g.op('Add', [g.input('x', 'float32', [null, columns]), added]))
  await registerFile(services, model, writeModel(g.build()), `${number} ${columns}`)
}

/** What is no model, unless it is given the bytes of one. */
export async function registerFile(services: TestServices, model: string, file?: Uint8Array, marker = 'no model') {
  const { manifestDigest } = await putTestVersion(services, model, marker, file)
  await services.registry.register({ model, manifestDigest, aliases: ['latest'] })
}

export const row = { x: { dtype: 'float32', shape: [1, 2], data: new Float32Array(2) } } as const
