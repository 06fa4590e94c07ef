import type { InferRule } from './context.js'
import { FAKE_QUANTIZE, inferFakeQuantize } from './fake-quantize.js'
import { inferEinsum } from './infer-einsum.js'
import { inferElementwise } from './infer-elementwise.js'
import { inferIndex } from './infer-index.js'
import { inferLayout } from './infer-layout.js'
import { inferProduct } from './infer-product.js'
import { inferRecurrent } from './infer-recurrent.js'
import { inferReduce } from './infer-reduce.js'
import { inferSpatial } from './infer-spatial.js'
import { inferLearnedQuantize, LEARNED_QUANTIZE } from './learned-quantize.js'

/**
 * The types of what an operator gives, by operator of ONNX's default domain (https://onnx.ai/onnx/operators/).
 * To build with another operator, add its rule to the group beside that it belongs to.
 */
export const INFER: Readonly<Record<string, InferRule>> = {
  ...inferEinsum,
  ...inferElementwise,
  ...inferIndex,
  ...inferLayout,
  ...inferProduct,
  ...inferRecurrent,
  ...inferReduce,
  ...inferSpatial,
  [FAKE_QUANTIZE]: inferFakeQuantize,
  [LEARNED_QUANTIZE]: inferLearnedQuantize,
}
