import { describe, expect, it } from 'vitest'
import { graphOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { viewOf } from '../view.js'
import { NETWORKS, Network } from './networks.fixture.js'
import { planOf } from './plan.js'

const plan = (g: Network, float?: ReadonlyMap<string, string>) => planOf(viewOf(graphOf(readModel(g.bytes()))), float)
const groupsOf = (name: string) =>
  [...plan((NETWORKS[name] as () => Network)()).sources.values()].map((list) => list.length)

describe('which tensors share a scale', () => {
  it('joined branches do where both end at zero, and each has its own where they end elsewhere', () => {
    // The input; both branches, the pooled one among them, and what they are joined to; the convolution after them.
    expect(groupsOf('joined branches with one range')).toEqual([1, 2, 1])
    // The input; a Relu, a Clip, what they are joined to; the convolution, its mean.
    expect(groupsOf('joined branches that end elsewhere')).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('values that only moved do, and a sum and a mean do not', () => {
    const g = new Network([1, 4, 6, 6])
    const a = g.conv('x', [4, 4, 1, 1])
    const sum = g.op('Add', [a, g.op('MaxPool', [a], { kernel_shape: [1n, 1n] })])
    g.dense(g.op('Flatten', [g.op('GlobalAveragePool', [sum])]), 4, 2, 'y')
    const { groupOf, sources } = plan(g)
    expect(sources.size).toBe(4)
    expect(new Set(groupOf.values()).size).toBe(4)
  })
})

describe('what becomes integer between layers', () => {
  it('nothing where no layer follows, and an activation stands for itself where its result is float', () => {
    const g = new Network([1, 4])
    const a = g.op('Relu', [g.dense('x', 4, 4)])
    g.op('Add', [a, g.op('Tanh', [a])], {}, 'y')
    const { steps, kept } = plan(g)
    expect(steps.map(({ kind }) => kind)).toEqual(['linear'])
    expect(kept.map(({ node }) => node.split(':')[0])).toEqual(['Relu', 'Tanh', 'Add'])
    expect(kept[0]?.reason).toContain('what follows is float')
  })

  it('an activation stays where something reads what comes before it, or where its limits leave out zero', () => {
    const g = new Network([1, 4])
    const a = g.dense('x', 4, 4)
    const b = g.dense(g.op('Relu', [a]), 4, 4)
    g.dense(g.op('Add', [a, b]), 4, 2, 'y')
    const { steps, kept } = plan(g)
    expect(steps.map(({ kind }) => kind)).toEqual(['linear', 'linear', 'add', 'linear'])
    expect(kept.map(({ node }) => node.split(':')[0])).toEqual(['Relu'])
  })

  it('not a layer that was asked to stay, with the reason given', () => {
    const g = (NETWORKS['a residual block'] as () => Network)()
    const label = plan(g).steps[1]?.label ?? ''
    const { steps, kept } = plan(g, new Map([[label, 'it hurts']]))
    expect(kept).toContainEqual({ node: label, reason: 'it hurts' })
    expect(steps.map((step) => step.label)).not.toContain(label)
  })
})
