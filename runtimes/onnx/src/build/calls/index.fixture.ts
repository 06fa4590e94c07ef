import type { Calls } from './common.fixture.js'
import { elementwiseCalls } from './elementwise.fixture.js'
import { indexCalls } from './index-operators.fixture.js'
import { layoutCalls } from './layout.fixture.js'
import { recurrentCalls } from './recurrent.fixture.js'
import { reduceCalls } from './reduce.fixture.js'
import { spatialCalls } from './spatial.fixture.js'

/** A call of every operator that has an inference rule. */
export const CALLS: Calls = {
  ...elementwiseCalls,
  ...indexCalls,
  ...layoutCalls,
  ...recurrentCalls,
  ...reduceCalls,
  ...spatialCalls,
}
