import type { GraphBuilder } from '../graph-builder.js'
import { int64s, type Value } from '../value.js'

/** One way to call each operator on float32 x [batch, 3] and y [3]; merged in index.fixture.ts. */
export type Calls = Readonly<Record<string, (g: GraphBuilder, x: Value, y: Value) => Value | Value[]>>

export const ints = (g: GraphBuilder, values: readonly number[]): Value => g.constant(int64s(values))
