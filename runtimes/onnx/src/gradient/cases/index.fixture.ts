import { activationCases } from './activation.fixture.js'
import type { Cases } from './common.fixture.js'
import { elementwiseCases } from './elementwise.fixture.js'
import { indexCases } from './index-operators.fixture.js'
import { layoutCases } from './layout.fixture.js'
import { lossCases } from './loss.fixture.js'
import { productCases } from './product.fixture.js'
import { quantizeCases } from './quantize.fixture.js'
import { recurrentCases } from './recurrent.fixture.js'
import { reduceCases } from './reduce.fixture.js'
import { spatialCases } from './spatial.fixture.js'

/** Every rule, with the shapes that it must get right. */
export const CASES: Cases = {
  ...activationCases,
  ...elementwiseCases,
  ...indexCases,
  ...layoutCases,
  ...lossCases,
  ...productCases,
  ...quantizeCases,
  ...recurrentCases,
  ...reduceCases,
  ...spatialCases,
}
