import { elementCount, type ResolvedRecipe } from '@tideway/core'
import { errors } from '../../errors.js'
import { makeNode, opsetOf } from '../../format/node.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import { INT8_WEIGHTS, quantizeChannels } from '../formats/integers.js'
import { type WeightConstant, weightConstants } from '../graph/weights.js'
import type { Outcome, Work } from '../scheme.js'
import { labelOf } from '../view.js'
import { asTable, replaceTable } from './table.js'

/** The operator set from which DequantizeLinear knows scales per channel. */
const MIN_OPSET = 13

/** Readers for which engines have DequantizeLinear in front of weights; others get the folded form. */
const STORABLE = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose'])

/**
 * Weights alone as int8, symmetric, a scale per channel; biases, small constants and all arithmetic stay float32. No
 * calibration rows are needed.
 *
 * Folded: weights pass a Cast and a Mul, which depend on constants alone, so that engines compute them once at load;
 * DequantizeLinear would be kept for integer kernels and done in each run. Tables of embeddings are looked up as int8 in
 * either form and expanded row by row.
 */
export function int8Weights(work: Work, recipe: ResolvedRecipe<'int8-weights'>): Outcome {
  const { model, view, done } = work
  const opset = opsetOf(model)
  if (recipe.form === 'stored' && opset < MIN_OPSET) throw errors.QUANTIZE_OPSET_TOO_OLD({ opset, minimum: MIN_OPSET })
  const { constants, kept } = weightConstants(view, { minElements: recipe.minElements, keep: recipe.keep, done })
  const quantized = new Set<string>()
  for (const constant of constants) {
    const table = asTable(constant)
    if (table !== undefined) replaceTable(work, table)
    else expand(work, constant, recipe.form)
    for (const reader of constant.readers) quantized.add(labelOf(reader))
  }
  for (const node of view.graph.node) if (quantized.has(labelOf(node))) done.add(node)
  return { quantized: [...quantized], kept, requires: [] }
}

/** Puts integers and scales in a constant's place, and the nodes that make the constant of them before all others. */
function expand({ view, edit }: Work, { name, tensor, axes, readers }: WeightConstant, form: 'folded' | 'stored') {
  const { shape } = tensor
  const sizes = shape.map((size, axis) => (axes.includes(axis) ? size : 1))
  const { integers, scales } = quantizeChannels(tensor.data, elementCount(sizes), channelsOf(shape, axes), INT8_WEIGHTS)
  const constant = edit.constant(`${name}_q`, { dtype: 'int8', shape, data: integers })
  const [axis] = axes
  const isStored = form === 'stored' && axes.length === 1 && readers.every(({ opType = '' }) => STORABLE.has(opType))
  const scale = edit.constant(`${name}_s`, {
    dtype: 'float32',
    shape: isStored ? [scales.length] : sizes,
    data: scales,
  })
  if (isStored) {
    edit.before(makeNode('DequantizeLinear', [constant, scale], [name], { axis: BigInt(axis ?? 0) }))
  } else {
    const floats = edit.fresh(`${name}_f`)
    edit.before(
      makeNode('Cast', [constant], [floats], { to: BigInt(ELEMENT_TYPE.float32) }),
      makeNode('Mul', [floats, scale], [name]),
    )
  }
  const source = view.graph.node.find((node) => node.opType === 'Constant' && node.output[0] === name)
  if (source !== undefined) edit.replace(source, [])
}

/** The channel of the value at an index: its place along the axes alone. */
function channelsOf(shape: readonly number[], axes: readonly number[]): (index: number) => number {
  const terms: { stride: number; size: number; weight: number }[] = []
  let weight = 1
  for (const axis of [...axes].sort((a, b) => b - a)) {
    const size = shape[axis] ?? 1
    terms.push({ stride: elementCount(shape.slice(axis + 1)), size, weight })
    weight *= size
  }
  return (index) =>
    terms.reduce((sum, { stride, size, weight }) => sum + (Math.floor(index / stride) % size) * weight, 0)
}
