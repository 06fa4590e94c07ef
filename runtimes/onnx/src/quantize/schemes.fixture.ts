import type { Recipe, Runtime, Tensor, TensorSpec, Tensors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { expect } from 'vitest'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { toTensor } from '../format/tensor.js'
import type { Node } from '../generated/onnx_pb.js'
import { modelOf, runOnce } from './models.fixture.js'
import { createQuantizer } from './recipes.js'

export const runtime: Runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

/** A model from one float32 input `x` to one float32 output `y`, of these shapes. */
export function model(
  [x, y]: readonly [TensorSpec['shape'], TensorSpec['shape']],
  node: Node[],
  constants: Readonly<Record<string, Tensor>>,
  opset?: bigint,
): Uint8Array {
  return modelOf({
    input: [{ name: 'x', dtype: 'float32', shape: x }],
    output: { name: 'y', dtype: 'float32', shape: y },
    node,
    constants,
    ...(opset === undefined ? {} : { opset }),
  })
}

/** Quantizes, and reads the result's graph. */
export async function quantizeWith(recipe: Recipe, bytes: Uint8Array, calibration: Tensors = {}) {
  const result = await createQuantizer().quantize(bytes, calibration, runtime, recipe)
  // What a variant needs, the runtime that devices have must say that it has.
  for (const need of result.requires ?? []) expect(runtime.flags.operators).toContain(need.replace('operator:', ''))
  const graph = graphOf(readModel(result.onnx))
  const operators = graph.node.map((node) => node.opType ?? '')
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]))
  const constant = (name: string) => {
    const tensor = constants.get(name)
    if (tensor === undefined) throw new Error(`the result has no ${name} but ${[...constants.keys()].join()}`)
    return toTensor(tensor)
  }
  return { ...result, graph, operators, constant, names: [...constants.keys()] }
}

export const run = (bytes: Uint8Array, x: Tensor) => runOnce(runtime, bytes, { x })

export const peak = (values: Iterable<number>) => {
  let most = 0
  for (const value of values) most = Math.max(most, Math.abs(value))
  return most
}

export function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] ?? NaN) - value), `at ${i}`).toBeLessThanOrEqual(tolerance)
}
