import type { ResolvedRecipe } from '@tideway/core'
import { errors } from '../../errors.js'
import { opsetOf } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { weightConstants } from '../graph/weights.js'
import type { Kept, Outcome, Work } from '../scheme.js'
import { labelOf } from '../view.js'
import { asTable, replaceTable } from '../weights/table.js'
import { attentionRule } from './attention.js'
import { denseRule } from './dense.js'
import { lstmRule } from './lstm.js'
import { Activations } from './products.js'
import type { DynamicRule, DynamicWork } from './rule.js'

/** The operator set that brought DynamicQuantizeLinear. */
const MIN_OPSET = 11

const RULES: Readonly<Record<string, readonly DynamicRule[]>> = {
  MatMul: [denseRule, attentionRule],
  Gemm: [denseRule],
  LSTM: [lstmRule],
}

/** Layers without an integer form of this kind. */
const KEPT: Readonly<Record<string, string>> = {
  GRU: 'ONNX Runtime has no integer kernel for it',
  RNN: 'ONNX Runtime has no integer kernel for it',
  Conv: 'its integer kernel is slower than float when ranges are found in each run; static int8 has a fast one',
  ConvTranspose: 'ONNX Runtime has no integer kernel for it',
  Einsum: 'there is no integer rule for Einsum',
}

/**
 * Weights as integers by channel; activations as uint8 with a scale and zero point that each run finds for itself, so
 * that no calibration rows are needed. In the standard operators DynamicQuantizeLinear and MatMulInteger, of which ONNX
 * Runtime makes one node; LSTM in ONNX Runtime's own DynamicQuantizeLSTM. Dense layers, products of two activations,
 * LSTM, and tables of embeddings; normalizations and everything else stay in float.
 *
 * Throws `QUANTIZE_OPSET_TOO_OLD`.
 *
 * Sums of uint8 × int8 do not saturate on x86 without VNNI: see `PRODUCT_FORMS`.
 */
export function dynamicInt8(work: Work, recipe: ResolvedRecipe<'int8-dynamic'>): Outcome {
  const { model, view, edit, done } = work
  const opset = opsetOf(model)
  if (opset < MIN_OPSET) throw errors.QUANTIZE_OPSET_TOO_OLD({ opset, minimum: MIN_OPSET })
  const shared: DynamicWork = {
    ...work,
    recipe,
    activations: new Activations(edit),
    weights: new Map(),
    requires: new Set(),
  }
  const quantized: string[] = []
  const kept: Kept[] = []
  for (const node of view.graph.node) {
    const found = done.has(node) ? '' : apply(node, shared)
    if (found === '') continue
    if (typeof found === 'string') kept.push({ node: labelOf(node), reason: found })
    else {
      quantized.push(labelOf(node))
      for (const member of found) done.add(member)
    }
  }
  for (const constant of weightConstants(view, { ...recipe, done }).constants) {
    const table = asTable(constant)
    if (table === undefined) continue
    replaceTable(work, table)
    for (const reader of table.readers) {
      quantized.push(labelOf(reader))
      done.add(reader)
    }
  }
  return { quantized, kept, requires: [...shared.requires] }
}

/** Empty for a node that is no layer. */
function apply(node: Node, work: DynamicWork): readonly Node[] | string {
  const { opType = '', domain = '' } = node
  if (domain !== '') return ''
  const rules = Object.hasOwn(RULES, opType) ? RULES[opType] : undefined
  if (rules === undefined) return (Object.hasOwn(KEPT, opType) ? KEPT[opType] : undefined) ?? ''
  if (work.recipe.keep.includes(labelOf(node))) return 'it was asked to stay'
  let reason = ''
  for (const rule of rules) {
    const found = rule(node, work)
    if (typeof found !== 'string') return found
    if (found !== '') reason = found
  }
  return reason
}
