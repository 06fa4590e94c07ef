import { GraphBuilder } from '../build/graph-builder.js'
import type { Dim } from '../build/value.js'
import { emit } from '../import/emit.js'
import { type ImportedModel } from '../import/model.js'
import { Channels, type Flow } from './channels.js'
import { CHANNEL_RULES } from './rules.js'

/** A Reshape whose size behind the batch is a number of the file, which changes with the channels that it flattens. */
export interface Resized {
  readonly node: string
  readonly ids: readonly number[]
}

export interface Walked {
  readonly channels: Channels
  readonly resized: readonly Resized[]
  /** Depthwise convolutions, whose number of groups is that of their channels. */
  readonly grouped: readonly Resized[]
  /** Why channels that go into a node stay. */
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
}

/** Follows every channel from the layer that makes it to all that takes it. */
export function walk(model: ImportedModel): Walked {
  const channels = new Channels()
  const flows = new Map<string, Flow>()
  const shapes = shapesOf(model)
  const kept: { node: string; reason: string }[] = []
  const resized: Resized[] = []
  const grouped: Resized[] = []
  for (const { name, shape } of model.inputs) {
    const axis = shape.length === 2 ? 1 : shape.length > 2 ? 1 : undefined
    const size = axis === undefined ? undefined : shape[axis]
    if (axis === undefined || typeof size !== 'number') continue
    const flow = { axis, ids: channels.fresh(size) }
    channels.lock(flow)
    flows.set(name, flow)
  }
  for (const node of model.nodes) {
    const [output = ''] = node.outputs
    const name = (place: number): string => node.inputs[place] ?? ''
    const makers = channels.makers.length
    const slots = channels.slots.length
    const slot = (place: number, axis: number, ids: readonly number[]) => ({ node: output, place, axis, ids })
    const rule = node.captured.length > 0 ? undefined : CHANNEL_RULES[node.opType]
    const found =
      rule?.({
        node,
        channels,
        flow: (place) => flows.get(name(place)),
        tensor: (place) => model.tensors.get(name(place)),
        shape: (place) => shapes.get(name(place)) ?? model.tensors.get(name(place))?.shape ?? [],
        output: shapes.get(output) ?? [],
        slot: (place, axis, ids) => void channels.slots.push(slot(place, axis, ids)),
        maker: (place, axis, ids) => {
          const tensor = model.tensors.get(name(place))
          if (tensor !== undefined)
            channels.makers.push({ ...slot(place, axis, ids), label: node.name, name: name(place), tensor })
        },
      }) ?? `channels are not followed through ${node.opType}`
    if (typeof found !== 'string') {
      flows.set(output, found)
      if (node.opType === 'Reshape' && Number(model.tensors.get(name(1))?.data[1]) > 0)
        resized.push({ node: output, ids: found.ids })
      if (Number(node.attributes['group'] ?? 1) > 1) grouped.push({ node: output, ids: flows.get(name(0))?.ids ?? [] })
      continue
    }
    // What was said of it before the rule gave up is not to be done.
    channels.makers.length = makers
    channels.slots.length = slots
    const taken = [...node.inputs, ...node.captured].flatMap((item) => flows.get(item) ?? [])
    for (const flow of taken) channels.lock(flow)
    if (taken.length > 0) kept.push({ node: node.name, reason: found })
  }
  for (const output of model.outputs) channels.lock(flows.get(output))
  return { channels, resized, grouped, kept }
}

/** The shape of every value, with a free batch. */
function shapesOf(model: ImportedModel): Map<string, readonly Dim[]> {
  const g = new GraphBuilder('shapes')
  const inputs = new Map(
    model.inputs.map(({ name, dtype, shape }) => [name, g.input(`in/${name}`, dtype, [null, ...shape.slice(1)])]),
  )
  const outputs = model.nodes.flatMap((node) => node.outputs.filter(Boolean).slice(0, 1))
  const values = emit(g, model, { inputs, outputs, nameOf: (value) => `value/${value}` })
  return new Map([...inputs, ...values].map(([name, { shape }]) => [name, shape]))
}
