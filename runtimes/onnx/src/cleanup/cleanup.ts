import { errors, type Runtime } from '@tideway/core'
import { graphOf, opsetOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { writeModel } from '../format/write.js'
import type { Graph, Model } from '../generated/onnx_pb.js'
import { labelOf, viewOf } from '../quantize/view.js'
import { joinActivations } from './activations.js'
import { foldConstants, growthOf } from './constants.js'
import { dropUnused, Edit, type Pass } from './edit.js'
import { foldIntoConsumers, foldIntoProducer } from './fold-affine.js'
import { joinTransposes, removeIdentities, reshapeToTranspose, squeezePooled } from './identities.js'
import { foldPads } from './pads.js'
import { plainGemm } from './plain-gemm.js'

const PASSES: readonly Pass[] = [
  removeIdentities,
  reshapeToTranspose,
  joinTransposes,
  joinActivations,
  foldPads,
  plainGemm,
  foldIntoProducer,
  foldIntoConsumers,
]

/** Before it Dropout, Clip and Pad had other forms, and batch normalization a mode of its own. */
const MIN_OPSET = 9

/** Since then the axes of Squeeze are an input. */
const SQUEEZE_OPSET = 13

/**
 * The same function in fewer nodes, for use: constants computed, dropout and other identities gone, batch normalization
 * and arithmetic with constants folded into the convolution or dense layer beside them, padding into convolutions, Relu
 * and Clip joined, Gemm's factors and transposition of weights done. Names of inputs and outputs stay. Values move by float32 rounding alone; folding is computed in
 * double precision. Changes `model` in place. The same model gives the same bytes.
 *
 * Operators that it does not know, and those with graphs inside, stay as they are; models of an operator set before 9 do
 * altogether. Throws `MODEL_INVALID` for a graph in which a node takes what is made after it, as in a cycle.
 */
export async function cleanUp(model: Model, runtime: Runtime): Promise<Model> {
  const graph = graphOf(model)
  refuseUnsorted(graph)
  if (opsetOf(model) < MIN_OPSET) return model
  const growth = growthOf()
  dropUnused(graph)
  await foldConstants(Object.assign(model, { graph }), runtime, growth)
  const passes = opsetOf(model) < SQUEEZE_OPSET ? PASSES : [...PASSES, squeezePooled]
  while (passes.some((pass) => run(pass, graph))) dropUnused(graph)
  await foldConstants(Object.assign(model, { graph }), runtime, growth)
  dropUnused(graph)
  return model
}

/**
 * `cleanUp` for a file.
 *
 * @example
 * const smaller = await cleanUpModel(await readFile('exported.onnx'), createOnnxNodeRuntime())
 */
export async function cleanUpModel(bytes: Uint8Array, runtime: Runtime): Promise<Uint8Array> {
  return writeModel(await cleanUp(readModel(bytes), runtime))
}

/** The passes follow values back to where they come from, which in a cycle never ends. */
function refuseUnsorted(graph: Graph): void {
  const later = new Set(graph.node.flatMap((node) => node.output))
  later.delete('')
  for (const node of graph.node) {
    const early = node.input.find((name) => later.has(name))
    if (early !== undefined)
      throw errors.MODEL_INVALID({ reason: `node "${labelOf(node)}" takes "${early}", which is not made before it` })
    for (const name of node.output) later.delete(name)
  }
}

function run(pass: Pass, graph: Graph): boolean {
  const view = viewOf(graph)
  const edit = new Edit(view)
  pass(view, edit)
  edit.apply()
  return edit.changes > 0
}
