import { elementCount, type Tensor } from '@tideway/core'
import { attributesOf } from '../../format/node.js'
import { MAX_PRODUCTS, PRODUCT_FORMS, quantizeChannels, stored } from '../formats/integers.js'
import { MICROSOFT } from '../graph/edit.js'
import { operatorNeed } from '../scheme.js'
import { type DynamicRule, type DynamicWork, tooFew } from './rule.js'

/** Inputs of LSTM: X, W, R, B, sequence_lens, initial_h, initial_c, P. DynamicQuantizeLSTM has four more behind them. */
const INPUTS = 8

/**
 * An LSTM as ONNX Runtime's DynamicQuantizeLSTM: both weight matrices as integers by gate and unit, products with the
 * inputs and with the hidden state on integers, gates in float. There is no such operator for GRU and RNN.
 */
export const lstmRule: DynamicRule = (node, work) => {
  const { view, edit, requires } = work
  const { layout = 0n } = attributesOf(node)
  if (layout !== 0n) return 'its integer kernel wants time as the first axis (layout 0)'
  const [w, r] = [view.constant(node.input[1]), view.constant(node.input[2])]
  if (!isWeight(w) || !isWeight(r)) return 'its weights are no float32 constants'
  if (![w, r].every(({ data }) => data.every(Number.isFinite))) return 'a weight is not finite'
  const inner = Math.max(w.shape[2] ?? 0, r.shape[2] ?? 0)
  if (inner > MAX_PRODUCTS) return `a sum of ${inner} products may leave 32 bits (at most ${MAX_PRODUCTS})`
  const few = tooFew([w.data.length + r.data.length], work.recipe)
  if (few !== undefined) return few
  const label = node.output.find((name) => name !== '') ?? 'lstm'
  const [wq, ws] = weightsOf(work, `${label}_w`, w)
  const [rq, rs] = weightsOf(work, `${label}_r`, r)
  const scales = w.shape.slice(0, 2)
  const form = PRODUCT_FORMS[work.recipe.weightBits]
  const zeros = stored(new Int8Array(elementCount(scales)), form)
  const z = edit.constant(`${label}_z`, { ...zeros, shape: scales })
  const others = Array.from({ length: INPUTS }, (_, i) => node.input[i] ?? '')
  others.splice(1, 2, wq, rq)
  const attribute = node.attribute.filter(({ name }) => name !== 'layout')
  edit.importMicrosoft()
  requires.add(operatorNeed('DynamicQuantizeLSTM'))
  // W and R have the same gates and units, so the same zeros.
  const input = [...others, ws, z, rs, z]
  edit.replace(node, [{ ...node, opType: 'DynamicQuantizeLSTM', domain: MICROSOFT, attribute, input }])
  return [node]
}

type FloatTensor = Extract<Tensor, { dtype: 'float32' }>

const isWeight = (tensor: Tensor | undefined): tensor is FloatTensor =>
  tensor?.dtype === 'float32' && tensor.shape.length === 3 && tensor.data.length > 0

/** [directions, gates · units, inputs] as integers [directions, inputs, gates · units], and their scales. */
function weightsOf({ edit, recipe }: DynamicWork, name: string, { data, shape }: FloatTensor) {
  const form = PRODUCT_FORMS[recipe.weightBits]
  const [directions = 0, units = 0, inner = 0] = shape
  const channels = quantizeChannels(data, directions * units, (i) => Math.floor(i / inner), form.range)
  const turned = new Int8Array(channels.integers.length)
  for (let i = 0; i < turned.length; i++) {
    const [row, column] = [Math.floor(i / inner), i % inner]
    const direction = Math.floor(row / units)
    turned[(direction * inner + column) * units + (row % units)] = channels.integers[i] ?? 0
  }
  return [
    edit.constant(name, { ...stored(turned, form), shape: [directions, inner, units] }),
    edit.constant(`${name}s`, { dtype: 'float32', shape: [directions, units], data: channels.scales }),
  ] as const
}
