import { type LayerType, windowsOf } from '@tideway/core'
import type { LayerContext } from './context.js'
import { windowAttributes } from './convolution.js'
import type { LayerRule, LayerRules } from './rule.js'

type Pool = 'maxPooling1d' | 'maxPooling2d' | 'averagePooling1d' | 'averagePooling2d'
type GlobalPool = 'globalAveragePooling1d' | 'globalAveragePooling2d' | 'globalMaxPooling1d' | 'globalMaxPooling2d'

/** What is padded counts for neither a maximum nor a mean. */
const pool = (opType: 'MaxPool' | 'AveragePool'): LayerRule<Extract<LayerType, Pool>> => ({
  forward: (c) => {
    const { value, shape } = c.first()
    // The gradient of a maximum takes the indices: the second output costs less than finding them again.
    const outputs = c.training && opType === 'MaxPool' && !c.g.without.has('MaxUnpool') ? 2 : 1
    return c.step('pooled', 'first', opType, [value], windowAttributes(windowsOf(c.layer), shape), outputs)
  },
})

/** Where channels are last already (behind an lstm, say), a reduction saves turning them. */
const global = (opType: 'GlobalAveragePool' | 'GlobalMaxPool', reduce: 'ReduceMean' | 'ReduceMax') => ({
  forward: (c: LayerContext<GlobalPool>) => {
    const { value, shape, layout } = c.in()
    const { keepdims } = c.layer
    const axes = shape.slice(1).map((_, axis) => BigInt(axis + 1))
    if (layout === 'last') return c.step('pooled', 'last', reduce, [value], { axes, keepdims: keepdims ? 1n : 0n })
    if (keepdims) return c.step('pooled', 'first', opType, [value])
    const pooled = c.op('pooled', opType, [value])
    return c.step('flat', 'last', 'Reshape', [pooled, c.ints([0, shape.at(-1) ?? 1])])
  },
})

export const poolingRules: LayerRules<Pool | GlobalPool> = {
  maxPooling1d: pool('MaxPool'),
  maxPooling2d: pool('MaxPool'),
  averagePooling1d: pool('AveragePool'),
  averagePooling2d: pool('AveragePool'),
  globalAveragePooling1d: global('GlobalAveragePool', 'ReduceMean'),
  globalAveragePooling2d: global('GlobalAveragePool', 'ReduceMean'),
  globalMaxPooling1d: global('GlobalMaxPool', 'ReduceMax'),
  globalMaxPooling2d: global('GlobalMaxPool', 'ReduceMax'),
}
