import { floats, type Value } from '../build/value.js'
import type { Adapter, NodeEmission } from './emission.js'

/** With the statistics that were kept, as it is used after training; older sets list the batch's statistics as outputs. */
const batchNormalization: Adapter = (e) =>
  e.result('BatchNormalization', e.inputs.slice(0, 5), { epsilon: e.float('epsilon', 1e-5) })

/** What it gives when a model is used: its input. Masks are of training. */
const dropout: Adapter = (e) => [e.in(0)]

const identity: Adapter = (e) => [e.in(0)]

/** Instance normalization of C / groups channels at a time; scale and bias per group (18) or per channel (21). */
const groupNormalization: Adapter = (e) => {
  const [x, scale, bias] = [e.in(0), e.in(1), e.in(2)]
  const groups = e.int('num_groups', 1)
  const channels = Number(x.shape[1])
  if (!Number.isInteger(channels) || channels % groups !== 0) throw e.refuse('its channels are not known')
  const stat = (value: number): Value =>
    e.g.constant(
      floats(
        x.dtype,
        Array.from({ length: groups }, () => value),
        [groups],
      ),
    )
  const rows = e.op('Reshape', [x, e.int64s([0, groups, -1])])
  const flat = e.op('InstanceNormalization', [rows, stat(1), stat(0)], { epsilon: e.float('epsilon', 1e-5) })
  const byGroup = e.opset < 21
  const axes = Array.from({ length: byGroup ? 1 : x.shape.length - 2 }, (_, at) => at + 1)
  const spread = (value: Value): Value => e.op('Unsqueeze', [value, e.int64s(axes)])
  const back = (value: Value): Value => e.op('Reshape', [value, sizesOf(e, x)])
  const normal = byGroup ? e.op('Mul', [flat, spread(scale)]) : e.op('Mul', [back(flat), spread(scale)])
  const moved = e.op('Add', [normal, spread(bias)])
  return byGroup ? e.result('Reshape', [moved, sizesOf(e, x)]) : e.result('Identity', [moved])
}

function sizesOf(e: NodeEmission, x: Value): Value {
  const sizes = x.shape.map((size, axis) => (axis === 0 ? 0 : Number(size)))
  return sizes.every(Number.isInteger) ? e.int64s(sizes) : e.op('Shape', [x])
}

/** x / √(mean(x²) + ε) · scale along the last axes (Zhang and Sennrich 2019, arXiv:1910.07467; operator set 23). */
const rmsNormalization: Adapter = (e) => {
  const x = e.in(0)
  const rank = x.shape.length
  const from = e.axis(e.int('axis', -1))
  const axes = Array.from({ length: rank - from }, (_, at) => BigInt(from + at))
  const square = e.op('ReduceMean', [e.op('Mul', [x, x])], { axes, keepdims: 1n })
  const root = e.op('Sqrt', [e.op('Add', [square, e.scalar(e.float('epsilon', 1e-5))])])
  return e.result('Mul', [e.op('Div', [x, root]), e.in(1)])
}

const layerNormalization: Adapter = (e) => {
  const { axis = -1n, epsilon = 1e-5 } = e.attributes
  return e.result('LayerNormalization', e.inputs, { axis, epsilon })
}

/** Initial states of zeros are what a cell starts with anyway; as constants they hold the exporter's batch size. */
const recurrent: Adapter = (e) => {
  const inputs = e.inputs.map((value, place) => (place >= 5 && place <= 6 && isZero(e, value) ? undefined : value))
  while (inputs.at(-1) === undefined) inputs.pop()
  return e.results(e.node.opType, inputs, e.attributes, e.node.outputs.length)
}

function isZero(e: NodeEmission, value: Value | undefined): boolean {
  const tensor = value === undefined ? undefined : e.g.tensorOf(value.name)
  return tensor !== undefined && Array.from(tensor.data as ArrayLike<unknown>, Number).every((item) => item === 0)
}

const averagePool: Adapter = (e) => {
  if (e.ints('dilations')?.some((step) => step !== 1)) throw e.refuse('dilations are newer than operator set 17')
  const { dilations: _, ...attributes } = e.attributes
  return e.result('AveragePool', [e.in(0)], attributes)
}

/** Layers, by what older and newer operator sets call their arguments. */
export const layerAdapters: Readonly<Record<string, Adapter>> = {
  AveragePool: averagePool,
  BatchNormalization: batchNormalization,
  Dropout: dropout,
  GRU: recurrent,
  GroupNormalization: groupNormalization,
  Identity: identity,
  LSTM: recurrent,
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  RNN: recurrent,
}
