import type { Tensor } from '@tideway/core'
import { packTfjsModel } from '@tideway/runtime-tfjs'

const spec = (name: string) => ({ name, dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '-1' }, { size: '2' }] } })

/** A Graph model of TensorFlow.js, y = 2x of two numbers, and what it answers. */
export function doubling() {
  const x: Tensor = { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) }
  const shape = { shape: { dim: [{ size: '-1' }, { size: '2' }] } }
  const model = packTfjsModel(
    {
      format: 'graph-model',
      modelTopology: {
        node: [
          { name: 'x', op: 'Placeholder', attr: { dtype: { type: 'DT_FLOAT' }, shape } },
          { name: 'factor', op: 'Const', attr: { dtype: { type: 'DT_FLOAT' } } },
          { name: 'product', op: 'Mul', input: ['x', 'factor'], attr: { T: { type: 'DT_FLOAT' } } },
        ],
        versions: { producer: 1 },
      },
      weightsManifest: [{ paths: ['w.bin'], weights: [{ name: 'factor', shape: [], dtype: 'float32' }] }],
      signature: { inputs: { x: spec('x:0') }, outputs: { y: spec('product:0') } },
    },
    { 'w.bin': new Uint8Array(Float32Array.of(2).buffer) },
  )
  return { model, inputs: { x }, outputs: { y: { ...x, data: Float32Array.of(2, 4) } } }
}
