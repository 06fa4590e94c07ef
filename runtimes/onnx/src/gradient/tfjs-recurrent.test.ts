import '@tensorflow/tfjs-backend-cpu'
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { beforeAll, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, type Value } from '../build/value.js'
import { differentiate } from './differentiate.js'
import { evaluate, seeded } from './gradient.fixture.js'

const [BATCH, STEPS, FEATURES, HIDDEN] = [3, 5, 4, 2]

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await tf.setBackend('cpu')
})

/** A layer of Keras, and where each of the operator's gates is among Keras's. */
interface Pair {
  readonly operator: string
  readonly layer: (options: { units: number; returnSequences: boolean; goBackwards: boolean }) => layers.RNN
  readonly gates: readonly number[]
  /** tfjs's own default: max(0, min(1, 0.2 x + 0.5)). */
  readonly hard?: readonly string[]
}

const sigmoid = { recurrentActivation: 'sigmoid' as const }

const PAIRS: readonly Pair[] = [
  // i o f c, where Keras has i f c o.
  { operator: 'LSTM', layer: (o) => layers.layers.lstm({ ...o, ...sigmoid }) as layers.RNN, gates: [0, 3, 1, 2] },
  // z r h in both; tfjs has the state reset before its product only.
  { operator: 'GRU', layer: (o) => layers.layers.gru({ ...o, ...sigmoid }) as layers.RNN, gates: [0, 1, 2] },
  {
    operator: 'LSTM',
    layer: (o) => layers.layers.lstm(o) as layers.RNN,
    gates: [0, 3, 1, 2],
    hard: ['HardSigmoid', 'Tanh', 'Tanh'],
  },
  {
    operator: 'GRU',
    layer: (o) => layers.layers.gru(o) as layers.RNN,
    gates: [0, 1, 2],
    hard: ['HardSigmoid', 'Tanh'],
  },
  { operator: 'RNN', layer: (o) => layers.layers.simpleRNN(o) as layers.RNN, gates: [0] },
]

/** [rows, gates · hidden] as Keras has it, as [gates · hidden, rows] with the gates in the operator's order. */
function converted(values: ArrayLike<number>, rows: number, gates: readonly number[]): number[] {
  const width = gates.length * HIDDEN
  return gates.flatMap((gate) =>
    Array.from({ length: HIDDEN }, (_, unit) =>
      Array.from({ length: rows }, (_, row) => Number(values[row * width + gate * HIDDEN + unit])),
    ).flat(),
  )
}

for (const pair of PAIRS)
  for (const goBackwards of [false, true])
    for (const returnSequences of [true, false])
      it(`${pair.operator}${pair.hard ? ' with hard gates' : ''} gives what tfjs gives, and its gradients: backwards ${goBackwards}, all steps ${returnSequences}`, async () => {
        const theirs = kerasRun(pair, goBackwards, returnSequences)
        const ours = await run(pair, goBackwards, returnSequences, theirs)
        for (const [name, values] of Object.entries(theirs.expected)) {
          expect(ours[name], name).toHaveLength(values.length)
          // Both sum a few dozen float32 terms, in different orders.
          for (const [at, value] of values.entries())
            expect(Math.abs((ours[name]?.[at] ?? Number.NaN) - value), name).toBeLessThan(1e-5 * (1 + Math.abs(value)))
        }
      })

interface Run {
  readonly x: readonly number[]
  readonly weights: readonly (readonly number[])[]
  readonly scale: readonly number[]
  readonly expected: Readonly<Record<string, readonly number[]>>
}

/** The layer's output and the gradients of its weighed sum, in the operator's order. */
function kerasRun({ layer, gates }: Pair, goBackwards: boolean, returnSequences: boolean): Run {
  const random = seeded(gates.length * 31 + Number(goBackwards))
  const numbers = (length: number): number[] => Array.from({ length }, () => random() * 2 - 1)
  const made = layer({ units: HIDDEN, returnSequences, goBackwards })
  // A layer makes its weights when it is first applied.
  made.apply(tf.zeros([BATCH, STEPS, FEATURES]))
  const width = gates.length * HIDDEN
  const weights = [numbers(FEATURES * width), numbers(HIDDEN * width), numbers(width)]
  const shapes = [[FEATURES, width], [HIDDEN, width], [width]]
  made.setWeights(weights.map((values, at) => tf.tensor(values, shapes[at])))
  const x = numbers(BATCH * STEPS * FEATURES)
  const outputs = returnSequences ? [BATCH, STEPS, HIDDEN] : [BATCH, HIDDEN]
  const scale = numbers(outputs.reduce((a, b) => a * b, 1))
  const apply = (input: tf.Tensor): tf.Tensor => made.apply(input) as tf.Tensor
  const input = tf.variable(tf.tensor(x, [BATCH, STEPS, FEATURES]))
  const { grads } = tf.variableGrads(() => tf.sum(tf.mul(apply(input), tf.tensor(scale, outputs))) as tf.Scalar)
  const values = (name: RegExp): number[] =>
    Array.from(
      Object.entries(grads)
        .find(([key]) => name.test(key))?.[1]
        .dataSync() ?? [],
    )
  const y = Array.from(apply(input).dataSync())
  const db = converted(values(/bias/u), 1, gates)
  return {
    x,
    weights,
    scale,
    expected: {
      y,
      dx: Array.from(grads[input.name]?.dataSync() ?? []),
      dw: converted(values(/\/kernel|^kernel/u), FEATURES, gates),
      dr: converted(values(/recurrent_kernel/u), HIDDEN, gates),
      // Both biases are added: each has the gradient that Keras's one has.
      db: [...db, ...db],
    },
  }
}

/** The same by the operator; Keras puts the batch first, and what it gives backwards in the order of its steps. */
async function run({ operator, gates, hard }: Pair, reverse: boolean, all: boolean, { x, weights, scale }: Run) {
  const g = new GraphBuilder('keras')
  const rows = gates.length * HIDDEN
  const input = g.input('x', 'float32', [BATCH, STEPS, FEATURES])
  const w = g.input('w', 'float32', [1, rows, FEATURES])
  const r = g.input('r', 'float32', [1, rows, HIDDEN])
  const b = g.input('b', 'float32', [1, 2 * rows])
  const first = g.op('Transpose', [input], { perm: [1n, 0n, 2n] })
  const direction = reverse ? 'reverse' : 'forward'
  const [y, last] = g.ops(
    operator,
    [first, w, r, b],
    { hidden_size: BigInt(HIDDEN), direction, ...(hard && { activations: hard }) },
    { outputs: 2 },
  )
  const ints = (...values: readonly bigint[]): Value =>
    g.constant({ dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values) })
  const steps = g.op('Squeeze', [y, ints(1n)])
  const ordered = reverse ? g.op('Slice', [steps, ints(-1n), ints(-1000n), ints(0n), ints(-1n)]) : steps
  const out = all ? g.op('Transpose', [ordered], { perm: [1n, 0n, 2n] }) : g.op('Squeeze', [last, ints(0n)])
  const weighed = g.op('Mul', [out, g.constant(floats('float32', scale, out.shape.map(Number)))])
  g.output('y', out)
  const loss = g.op('ReduceSum', [weighed], { keepdims: 0n })
  for (const [at, gradient] of differentiate(g, loss, [input, w, r, b]).entries())
    g.output(['dx', 'dw', 'dr', 'db'][at] as string, gradient)
  const [kernel, recurrent, bias] = weights as [number[], number[], number[]]
  return evaluate(g, {
    x: floats('float32', x, input.shape.map(Number)),
    w: floats('float32', converted(kernel, FEATURES, gates), w.shape.map(Number)),
    r: floats('float32', converted(recurrent, HIDDEN, gates), r.shape.map(Number)),
    b: floats('float32', [...converted(bias, 1, gates), ...Array<number>(rows).fill(0)], b.shape.map(Number)),
  })
}
