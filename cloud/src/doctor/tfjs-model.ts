import { packTfjsModel } from '@tideway/runtime-tfjs'

interface Matrix {
  readonly data: Float32Array
  readonly shape: readonly [number, number]
}

/** y = relu(x · first) · last as a Graph model of TensorFlow.js. */
export function tfjsModel(first: Matrix, last: Matrix): Uint8Array {
  const type = { type: 'DT_FLOAT' }
  const T = { T: type }
  const sizes = (...dims: number[]) => ({ dim: dims.map((size) => ({ size: String(size) })) })
  const tensor = (name: string, width: number) => ({ name, dtype: type.type, tensorShape: sizes(-1, width) })
  const [features, classes] = [first.shape[0], last.shape[1]]
  const weight = (name: string, { shape }: Matrix) => ({ name, shape: [...shape], dtype: 'float32' })
  const modelJson = {
    format: 'graph-model',
    modelTopology: {
      node: [
        { name: 'x', op: 'Placeholder', attr: { dtype: type, shape: { shape: sizes(-1, features) } } },
        { name: 'first', op: 'Const', attr: { dtype: type } },
        { name: 'last', op: 'Const', attr: { dtype: type } },
        { name: 'product', op: 'MatMul', input: ['x', 'first'], attr: T },
        { name: 'hidden', op: 'Relu', input: ['product'], attr: T },
        { name: 'out', op: 'MatMul', input: ['hidden', 'last'], attr: T },
      ],
      versions: { producer: 1 },
    },
    signature: { inputs: { x: tensor('x:0', features) }, outputs: { y: tensor('out:0', classes) } },
    weightsManifest: [{ paths: ['first', 'last'], weights: [weight('first', first), weight('last', last)] }],
  }
  const bytes = ({ data }: Matrix) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return packTfjsModel(modelJson, { first: bytes(first), last: bytes(last) })
}
