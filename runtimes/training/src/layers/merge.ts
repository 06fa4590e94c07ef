import type { LayerType } from '@tideway/core'
import type { Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import type { Flow, LayerRule, LayerRules } from './rule.js'

type Merge = 'add' | 'subtract' | 'multiply' | 'average' | 'maximum' | 'minimum' | 'concatenate'

/** All inputs in one layout: channels first where one of them is already. */
function together(c: LayerContext<Merge>): { readonly values: Value[]; readonly layout: Flow['layout'] } {
  const layout = c.inputs.some((flow) => flow.layout === 'first' && flow.shape.length > 1) ? 'first' : 'last'
  return { layout, values: c.inputs.map((flow) => c.turn(flow, layout).value) }
}

/** An operator of two inputs, over all of them in their order. */
function chained(
  c: LayerContext<Merge>,
  part: string,
  opType: string,
  values: readonly Value[],
  layout: Flow['layout'],
) {
  const [first, ...rest] = values as [Value, ...Value[]]
  const end = rest.pop() as Value
  const sum = rest.reduce((left, right, at) => c.op(`${part}_${at + 1}`, opType, [left, right]), first)
  return c.step(part, layout, opType, [sum, end])
}

const merge = (part: string, opType: string): LayerRule<Extract<LayerType, Merge>> => ({
  forward: (c) => {
    const { values, layout } = together(c)
    return chained(c, part, opType, values, layout)
  },
})

export const mergeRules: LayerRules<Merge> = {
  add: merge('sum', 'Add'),
  subtract: merge('difference', 'Sub'),
  multiply: merge('product', 'Mul'),
  maximum: merge('largest', 'Max'),
  minimum: merge('smallest', 'Min'),
  average: {
    forward: (c) => {
      const { values, layout } = together(c)
      const sum = chained(c, 'sum', 'Add', values, layout).add(`${c.layer.name}/sum`)
      return c.step('mean', layout, 'Mul', [sum, c.scalar(1 / values.length)])
    },
  },
  concatenate: {
    forward: (c) => {
      const { values, layout } = together(c)
      const rank = c.shape.length
      const axis = c.layer.axis < 0 ? rank + 1 + c.layer.axis : c.layer.axis
      // Counted with the batch: the channels are the last axis of a row, and axis 1 where they are first.
      const placed = layout === 'last' || rank === 1 ? axis : axis === rank ? 1 : axis + 1
      return c.step('joined', layout, 'Concat', values, { axis: BigInt(placed) })
    },
  },
}
