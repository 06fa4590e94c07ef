import type { ResolvedRecipe } from '@tideway/core'
import { errors } from '../../errors.js'
import { makeNode, opsetOf } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { type Blocks, MIDDLE, quantizeBlocks } from '../formats/blocks.js'
import { packNibbles } from '../formats/nibbles.js'
import { type Dense, denseOf, replaceDense, transpose } from '../graph/dense.js'
import { MICROSOFT } from '../graph/edit.js'
import { hasWeightRole } from '../graph/weights.js'
import { type Kept, type Outcome, operatorNeed, type Work } from '../scheme.js'
import { labelOf } from '../view.js'

/** The operator set from which DequantizeLinear knows 4 bits and blocks. */
const BLOCK_OPSET = 21

/** `accuracy_level` of MatMulNBits: activations as int8 by block, or float32. */
const LEVEL = { int8: 4n, float32: 1n } as const

/**
 * Weights of dense layers in 4 bits, in blocks along the inputs, each with its own scale (and zero point); everything
 * else stays float32. No calibration rows are needed.
 *
 * `operator` is MatMulNBits of ONNX Runtime (https://github.com/microsoft/onnxruntime, ContribOperators.md), which its
 * builds for Node and for WebAssembly have. `standard` is DequantizeLinear with `block_size` before a MatMul; ONNX
 * Runtime makes a MatMulNBits of these, and computes it as with `integerProducts`.
 */
export function int4Weights(work: Work, recipe: ResolvedRecipe<'int4-weights'>): Outcome {
  const opset = opsetOf(work.model)
  const { form, integerProducts, keep, minElements } = recipe
  if (form === 'standard' && opset < BLOCK_OPSET) throw errors.QUANTIZE_OPSET_TOO_OLD({ opset, minimum: BLOCK_OPSET })
  const isStandard = form === 'standard' || (form === 'auto' && opset >= BLOCK_OPSET && integerProducts)
  const kept: Kept[] = []
  const quantized: string[] = []
  const writer = isStandard ? new StandardWriter(work, recipe) : new OperatorWriter(work, recipe)
  for (const node of work.view.graph.node) {
    if (!hasWeightRole(node)) continue
    if (node.opType !== 'MatMul' && node.opType !== 'Gemm') {
      kept.push({ node: labelOf(node), reason: 'only dense layers have weights of 4 bits' })
      continue
    }
    const layer = keep.includes(labelOf(node)) ? 'it was asked to stay' : denseOf(node, work.view)
    if (typeof layer === 'string') kept.push({ node: labelOf(node), reason: layer })
    else if (layer.weight.length < minElements)
      kept.push({ node: layer.label, reason: `its ${layer.weight.length} weights are too few to gain by it` })
    else {
      replaceDense(work.edit, layer, (output) => writer.product(layer, output))
      quantized.push(layer.label)
      for (const member of layer.nodes) work.done.add(member)
    }
  }
  const requires = !isStandard && quantized.length > 0 ? [operatorNeed('MatMulNBits')] : []
  return { quantized, kept, requires }
}

abstract class Writer {
  private readonly names = new Map<string, readonly string[]>()

  constructor(
    protected readonly work: Work,
    protected readonly recipe: ResolvedRecipe<'int4-weights'>,
  ) {}

  /** Layers that share their weights share their integers. */
  protected constants(layer: Dense): readonly string[] {
    const known = this.names.get(layer.weightKey)
    if (known !== undefined) return known
    const { weight, inner, outer } = layer
    const blocks = quantizeBlocks(transpose(weight, [inner, outer]), [outer, inner], this.recipe)
    const names = this.write(layer, blocks)
    this.names.set(layer.weightKey, names)
    return names
  }

  abstract product(layer: Dense, output: string): readonly Node[]
  protected abstract write(layer: Dense, blocks: Blocks): readonly string[]
}

/** Weights [outer, blocks, blockSize / 2] as bytes, scales and packed zero points flat by output. */
class OperatorWriter extends Writer {
  product(layer: Dense, output: string): readonly Node[] {
    const { blockSize, integerProducts } = this.recipe
    this.work.edit.importMicrosoft()
    const node = makeNode('MatMulNBits', [layer.input, ...this.constants(layer)], [output], {
      K: BigInt(layer.inner),
      N: BigInt(layer.outer),
      bits: 4n,
      block_size: BigInt(blockSize),
      accuracy_level: integerProducts ? LEVEL.int8 : LEVEL.float32,
    })
    node.domain = MICROSOFT
    return [node]
  }

  protected write({ output, inner, outer }: Dense, { codes, scales, zeroPoints, blocks }: Blocks): readonly string[] {
    const { blockSize, symmetric } = this.recipe
    const { edit } = this.work
    // A last block that is not full ends in codes for which x has no values.
    const padded = new Uint8Array(outer * blocks * blockSize).fill(MIDDLE)
    for (let row = 0; row < outer; row++)
      padded.set(codes.subarray(row * inner, (row + 1) * inner), row * blocks * blockSize)
    const bytes = (name: string, shape: readonly number[], data: Uint8Array) =>
      edit.constant(`${output}_${name}`, { dtype: 'uint8', shape, data })
    const names = [
      bytes('w', [outer, blocks, blockSize / 2], packNibbles(padded)),
      edit.constant(`${output}_s`, { dtype: 'float32', shape: [outer * blocks], data: scales }),
    ]
    if (symmetric) return names
    const rowBytes = Math.ceil(blocks / 2)
    const packed = new Uint8Array(outer * rowBytes)
    for (let row = 0; row < outer; row++)
      packed.set(packNibbles(zeroPoints.subarray(row * blocks, (row + 1) * blocks)), row * rowBytes)
    return [...names, bytes('z', [packed.length], packed)]
  }
}

/** Weights [inner, outer] and scales [blocks, outer], as MatMul has its second input. */
class StandardWriter extends Writer {
  product(layer: Dense, output: string): readonly Node[] {
    const weight = this.work.edit.fresh(`${output}_f`)
    const attributes = { axis: 0n, block_size: BigInt(this.recipe.blockSize) }
    return [
      makeNode('DequantizeLinear', this.constants(layer), [weight], attributes),
      makeNode('MatMul', [layer.input, weight], [output]),
    ]
  }

  protected write({ output, inner, outer }: Dense, { codes, scales, zeroPoints, blocks }: Blocks): readonly string[] {
    const { edit } = this.work
    const { symmetric } = this.recipe
    const turned = transpose(codes, [outer, inner])
    const nibbles = packNibbles(symmetric ? Int8Array.from(turned, (code) => code - MIDDLE) : turned)
    const names = [
      edit.packed(`${output}_w`, [inner, outer], symmetric ? 'int4' : 'uint4', nibbles),
      edit.constant(`${output}_s`, {
        dtype: 'float32',
        shape: [blocks, outer],
        data: transpose(scales, [outer, blocks]),
      }),
    ]
    if (symmetric) return names
    const zeros = packNibbles(transpose(zeroPoints, [outer, blocks]))
    return [...names, edit.packed(`${output}_z`, [blocks, outer], 'uint4', zeros)]
  }
}
