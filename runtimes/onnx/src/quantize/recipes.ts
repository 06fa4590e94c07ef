import {
  precisionOf,
  type Quantizer,
  type ResolvedRecipe,
  type Runtime,
  resolveRecipe,
  schemeOf,
  type Tensors,
} from '@tideway/core'
import { cleanUp } from '../cleanup/cleanup.js'
import { errors } from '../errors.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import { writeModel } from '../format/write.js'
import { checkCalibration } from './calibrate.js'
import { dynamicInt8 } from './dynamic/dynamic.js'
import { GraphEdit } from './graph/edit.js'
import { quantizedNodes } from './graph/refuse.js'
import { half } from './half/half.js'
import { halfWeights } from './half/storage.js'
import { missingIn } from './missing.js'
import { createInt8Quantizer } from './quantizer.js'
import type { Outcome, Work } from './scheme.js'
import { takeRounding } from './static/trained.js'
import { viewOf } from './view.js'
import { int4Weights } from './weights/int4.js'
import { int8Weights } from './weights/int8.js'

/**
 * Every scheme behind one call: `{ scheme: 'int8-dynamic' }`, `{ scheme: 'int4-weights', blockSize: 64 }`, or a precision
 * alone. The result says which abilities a runtime needs for it (`requires`), which nodes became smaller, and which
 * layers stay in float, with the reason. The graph is cleaned up first (`cleanUp`). The same model, rows and recipe give
 * the same bytes.
 *
 * Throws, before work starts: `MODEL_INVALID`, `MODEL_ALREADY_QUANTIZED`, `QUANTIZE_OPSET_TOO_OLD`, `QUANTIZE_NOTHING`,
 * and `CALIBRATION_INVALID` for rows that are missing where the scheme needs them, or wrong where it does not.
 *
 * @example
 * const { onnx, kept } = await createQuantizer().quantize(bytes, {}, runtime, { scheme: 'int4-weights', blockSize: 64 })
 */
export function createQuantizer(): Quantizer {
  return {
    name: 'onnx',
    async quantize(bytes, calibration, runtime, options) {
      const recipe = resolveRecipe(options.scheme === undefined ? schemeOf[options.precision] : options)
      const model = readModel(bytes)
      const nodes = quantizedNodes(graphOf(model))
      if (nodes.length > 0) throw errors.MODEL_ALREADY_QUANTIZED({ nodes })
      if (recipe.scheme === 'int8-static') {
        const { form, keep } = recipe
        return {
          ...(await createInt8Quantizer({ form, keep }).quantize(bytes, calibration, runtime, recipe)),
          scheme: recipe.scheme,
        }
      }
      // How it was trained is of use to static int8 alone.
      takeRounding(model)
      await cleanUp(model, runtime)
      const view = viewOf(graphOf(model))
      if (Object.keys(calibration).length > 0) checkCalibration(signatureOf(model), calibration, missingIn(view))
      const work: Work = { model, view, edit: new GraphEdit(model), done: new Set() }
      const { quantized, kept, requires } = await run(work, recipe, calibration, runtime)
      if (quantized.length === 0)
        throw errors.QUANTIZE_NOTHING({ kept: kept.map(({ node, reason }) => `${node}: ${reason}`) })
      work.edit.finish()
      return {
        onnx: writeModel(model),
        precision: precisionOf[recipe.scheme],
        scheme: recipe.scheme,
        quantized,
        kept,
        requires,
      }
    },
  }
}

function run(
  work: Work,
  recipe: Exclude<ResolvedRecipe, { scheme: 'int8-static' }>,
  calibration: Tensors,
  runtime: Runtime,
): Outcome | Promise<Outcome> {
  switch (recipe.scheme) {
    case 'int8-dynamic':
      return withRest(work, recipe, dynamicInt8(work, recipe))
    case 'int8-weights':
      return int8Weights(work, recipe)
    case 'int4-weights':
      return withRest(work, recipe, int4Weights(work, recipe))
    case 'fp16':
      return half(work, recipe, calibration, runtime)
    case 'fp16-weights':
      return halfWeights(work, recipe)
  }
}

/** Lets the weights that a scheme has no form for become int8 alone, if the recipe says so. */
function withRest(
  work: Work,
  { rest, keep, minElements }: ResolvedRecipe<'int8-dynamic' | 'int4-weights'>,
  outcome: Outcome,
): Outcome {
  if (rest === 'float') return outcome
  const recipe = resolveRecipe({ scheme: 'int8-weights', keep, minElements })
  const { quantized, kept } = int8Weights(work, recipe)
  const named = new Set([...quantized, ...kept.map(({ node }) => node)])
  const others = outcome.kept.filter(({ node }) => !named.has(node))
  return { ...outcome, quantized: [...outcome.quantized, ...quantized], kept: [...others, ...kept] }
}
