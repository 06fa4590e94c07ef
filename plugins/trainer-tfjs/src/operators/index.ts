import type { Kernels } from '../graph/node.js'
import { convolutions } from './convolution.js'
import { elementwise } from './elementwise.js'
import { layouts } from './layout.js'
import { normalizations } from './normalize.js'
import { indexing } from './places.js'
import { pooling } from './pooling.js'
import { products } from './product.js'
import { recurrence } from './recurrent.js'
import { reductions } from './reduce.js'
import { resizing } from './resize.js'

/**
 * How TensorFlow.js computes ONNX's operators (https://onnx.ai/onnx/operators/, as of operator set 17). To add one: its
 * kernel in the group beside that it belongs to.
 */
export const KERNELS: Kernels = {
  ...convolutions,
  ...elementwise,
  ...indexing,
  ...layouts,
  ...normalizations,
  ...pooling,
  ...products,
  ...recurrence,
  ...reductions,
  ...resizing,
}
