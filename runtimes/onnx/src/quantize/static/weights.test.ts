import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Linear, linearOf } from '../../cleanup/linear.js'
import { graphOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { floats, normal, uniform } from '../models.fixture.js'
import { integerDense, saturate } from '../reference.js'
import { viewOf } from '../view.js'
import { Network } from './networks.fixture.js'
import { canSaturate, dequantizedWeights, quantizeWeights, sumOrders, weightScales } from './weights.js'

/** The only layer of a network of one, with these weights. */
function layerOf(kind: 'conv' | 'depthwise' | 'dense', weights?: Float32Array): Linear {
  const g = new Network(kind === 'dense' ? [1, 24] : [1, 6, 5, 5])
  const shape = { conv: [4, 6, 3, 3], depthwise: [6, 1, 3, 3], dense: [24, 5] }[kind]
  const w = g.weights(shape)
  if (weights !== undefined) g.constants[w] = floats(shape, weights)
  const b = g.weights([kind === 'dense' ? 5 : (shape[0] ?? 1)])
  if (kind === 'dense') g.op('Gemm', ['x', w, b], {}, 'y')
  else g.op('Conv', ['x', w, b], kind === 'depthwise' ? { group: 6n } : {}, 'y')
  const found = linearOf('y', viewOf(graphOf(readModel(g.bytes()))))
  if (found === undefined) throw new Error('the network has one layer')
  return found
}

/**
 * A dot product as x86 without VNNI computes it: VPMADDUBSW multiplies unsigned with signed bytes and adds neighbours in
 * 16 bits with saturation.
 */
function vpmaddubsw(activations: ArrayLike<number>, weights: ArrayLike<number>): number {
  const int16 = { min: -(2 ** 15), max: 2 ** 15 - 1 }
  let sum = 0
  for (let k = 0; k < weights.length; k += 2) {
    const [first, second] = [
      (activations[k] ?? 0) * (weights[k] ?? 0),
      (activations[k + 1] ?? 0) * (weights[k + 1] ?? 0),
    ]
    sum += saturate(first + second, int16)
  }
  return sum
}

describe('integer weights', () => {
  it.each(['conv', 'depthwise', 'dense'] as const)(
    'cannot saturate 16-bit sums of a %s layer, whatever the weights and the activations, in any order of summing',
    (kind) => {
      const count = layerOf(kind).weight.data.length
      const draws = fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.constantFrom('normal', 'equal', 'peaks', 'signs'))
      fc.assert(
        fc.property(draws, ([seed, shape]) => {
          const random = uniform(seed)
          const bell = normal(count, 1, random)
          const values = {
            normal: bell,
            equal: new Float32Array(count).fill(bell[0] ?? 1),
            peaks: bell.map((value) => value ** 3),
            signs: bell.map((value) => Math.sign(value)),
          }[shape]
          const layer = layerOf(kind, values)
          const { weight } = quantizeWeights(layer, 0.01)
          expect(canSaturate(layer, weight)).toBe(false)
          for (const order of sumOrders(layer)) {
            for (const places of order) {
              const own = Array.from(places, (place) => weight[place] ?? 0)
              // The worst activations: all that meet weights of one sign at their largest, the others at zero.
              for (const sign of [1, -1]) {
                for (const shift of [0, 1]) {
                  const shifted = [...Array.from({ length: shift }, () => 0), ...own]
                  const activations = shifted.map((w) => (w * sign > 0 ? 255 : 0))
                  const exact = integerDense(activations, shifted, undefined, [1, shifted.length, 1])[0]
                  expect(vpmaddubsw(activations, shifted)).toBe(exact)
                }
              }
            }
          }
        }),
        { numRuns: 60, seed: 5 },
      )
    },
  )

  it('take nearly eight bits where no two large ones are neighbours, and seven where they are', () => {
    const depthwise = Float32Array.from({ length: 54 }, (_, i) => (i % 2 === 0 ? 1 : -1))
    expect(weightScales(layerOf('depthwise', depthwise))[0]).toBeCloseTo(1 / 127, 6)
    expect(weightScales(layerOf('dense', new Float32Array(120).fill(-2)))[0]).toBeCloseTo(2 / 64, 6)
  })

  it('lie within half a step of the real ones', () => {
    const layer = layerOf('conv')
    const integers = quantizeWeights(layer, 0.01)
    const back = dequantizedWeights(layer, integers)
    for (const [place, value] of layer.weight.data.entries()) {
      const step = integers.scales[layer.channelOf(place)] ?? 0
      expect(Math.abs((back[place] ?? NaN) - value)).toBeLessThanOrEqual(0.5001 * step)
    }
  })

  it('are summed by engines as they are stored, or with the input channels innermost', () => {
    const [stored, channelsLast] = sumOrders(layerOf('conv'))
    expect(Array.from(stored?.[1]?.subarray(0, 3) ?? [])).toEqual([54, 55, 56])
    expect(Array.from(channelsLast?.[1]?.subarray(0, 7) ?? [])).toEqual([54, 63, 72, 81, 90, 99, 55])
    expect(sumOrders(layerOf('depthwise'))).toHaveLength(1)
    expect(Array.from(sumOrders(layerOf('dense'))[0]?.[2]?.subarray(0, 3) ?? [])).toEqual([2, 7, 12])
  })
})
