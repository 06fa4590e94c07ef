import type { Activation } from '@tideway/core'
import { floats, type GraphBuilder, type Value } from '@tideway/onnx'

export type ActivationName = Extract<Activation, string>

/** An activation's name and the number that it may have. */
export function activationOf(activation: Activation): { readonly type: ActivationName; readonly alpha?: number } {
  return typeof activation === 'string' ? { type: activation } : activation
}

interface Applied {
  readonly g: GraphBuilder
  readonly x: Value
  /** The last operator's name; others take it as a prefix. */
  readonly name: string
  readonly alpha?: number
  /** Of the channels. */
  readonly axis: number
}

type Rule = (a: Applied) => Value

const one =
  (opType: string): Rule =>
  ({ g, x, name }) =>
    g.op(opType, [x], {}, { name })

const scalar = (g: GraphBuilder, value: number): Value => g.constant(floats('float32', [value]))

/** Klambauer et al. 2017; ONNX's Selu has the same numbers as defaults, Elu alone needs no rule of its own. */
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 }

/** Keras 3's slope; Keras 2 and TensorFlow.js have 0.2. */
const HARD_SLOPE = 1 / 6

/** Keras's activations as ONNX operators (opset 17). */
export const ACTIVATIONS: Readonly<Record<Exclude<ActivationName, 'linear'>, Rule>> = {
  relu: one('Relu'),
  relu6: ({ g, x, name }) => g.op('Clip', [x, scalar(g, 0), scalar(g, 6)], {}, { name }),
  leakyRelu: ({ g, x, name, alpha = 0.2 }) => g.op('LeakyRelu', [x], { alpha }, { name }),
  elu: ({ g, x, name, alpha = 1 }) => g.op('Elu', [x], { alpha }, { name }),
  selu: ({ g, x, name }) => {
    const elu = g.op('Elu', [x], { alpha: SELU.alpha }, { name: g.fresh(`${name}/elu`) })
    return g.op('Mul', [elu, scalar(g, SELU.scale)], {}, { name })
  },
  sigmoid: one('Sigmoid'),
  hardSigmoid: ({ g, x, name, alpha = HARD_SLOPE }) => g.op('HardSigmoid', [x], { alpha, beta: 0.5 }, { name }),
  swish: ({ g, x, name }) => {
    const gate = g.op('Sigmoid', [x], {}, { name: g.fresh(`${name}/gate`) })
    return g.op('Mul', [x, gate], {}, { name })
  },
  silu: (a) => ACTIVATIONS.swish(a),
  hardSwish: one('HardSwish'),
  // x Φ(x) (Hendrycks and Gimpel 2016), exact as in Keras.
  gelu: one('Gelu'),
  tanh: one('Tanh'),
  softplus: one('Softplus'),
  softsign: ({ g, x, name }) => {
    const size = g.op('Abs', [x], {}, { name: g.fresh(`${name}/size`) })
    const above = g.op('Add', [size, scalar(g, 1)], {}, { name: g.fresh(`${name}/above`) })
    return g.op('Div', [x, above], {}, { name })
  },
  softmax: ({ g, x, name, axis }) => g.op('Softmax', [x], { axis: BigInt(axis) }, { name }),
}
