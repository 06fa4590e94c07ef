import { GraphBuilder, writeModel } from '@tideway/onnx'
import type { InferenceSession } from 'onnxruntime-node'
import type { Feeds } from '../batch.js'
import type { ProviderSessions } from './sessions.js'

type Way = 'up' | 'down'
const CARRIED = '_carried'

/**
 * Moves tensors between arrays and a provider's memory, through graphs that change nothing: onnxruntime-node 1.30 cannot
 * read a tensor of the device itself (its `getData` ends the process), but a session's outputs may be on either side.
 */
export class Carrier {
  private readonly sessions = new Map<string, Promise<InferenceSession>>()

  constructor(private readonly on: ProviderSessions) {}

  /** To the provider's memory; where it holds none they stay arrays. */
  up(tensors: Feeds): Promise<Feeds> {
    return this.carry(tensors, 'up')
  }

  /** To arrays. */
  down(tensors: Feeds): Promise<Feeds> {
    return this.carry(tensors, 'down')
  }

  private async carry(tensors: Feeds, way: Way): Promise<Feeds> {
    const names = Object.keys(tensors)
    if (!this.on.provider.holds || names.length === 0) return tensors
    const session = await this.session(tensors, way)
    const out = await session.run({ ...tensors })
    return Object.fromEntries(names.map((name) => [name, out[name + CARRIED]])) as Feeds
  }

  private session(tensors: Feeds, way: Way): Promise<InferenceSession> {
    const shapes = Object.entries(tensors).map(([name, { dims }]) => [name, dims] as const)
    const key = `${way} ${JSON.stringify(shapes)}`
    const known = this.sessions.get(key)
    if (known !== undefined) return known
    const g = new GraphBuilder('carry')
    for (const [name, dims] of shapes) g.output(name + CARRIED, g.input(name, 'float32', dims))
    const made = this.on.create(writeModel(g.build()), { stay: way === 'up' })
    this.sessions.set(key, made)
    return made
  }
}
