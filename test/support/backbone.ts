import { findInitializer, GraphBuilder, graphOf, int64s, readModel, toTensor, writeModel } from '@tideway/onnx'
import { seeded } from './seeded.js'

export const SIDE = 8
const FILTERS = 6
const FEATURES = FILTERS * (SIDE - 2) ** 2
/** Classes of the model's own head, before it is replaced. */
const OLD_CLASSES = 4

export { seeded }

/** Makes tensors of uniform random values between -scale and scale. */
function uniform(seed: number) {
  const random = seeded(seed)
  return (shape: number[], scale: number) => ({
    dtype: 'float32' as const,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random() * 2 - 1) * scale),
  })
}

/** A small classifier of [1, 8, 8] images in ONNX's layout: a convolution named `backbone.…` and a dense layer `fc.…`. */
export function backbone(): Uint8Array {
  const weights = uniform(5)
  const g = new GraphBuilder('backbone')
  const x = g.input('x', 'float32', [null, 1, SIDE, SIDE])
  const kernel = g.initializer('backbone.conv.weight', weights([FILTERS, 1, 3, 3], 0.6))
  const bias = g.initializer('backbone.conv.bias', weights([FILTERS], 0.1))
  const maps = g.op('Relu', [g.op('Conv', [x, kernel, bias], { kernel_shape: [3n, 3n] })])
  const flat = g.op('Reshape', [maps, g.initializer('places', int64s([-1, FEATURES]))])
  const dense = g.initializer('fc.weight', weights([FEATURES, OLD_CLASSES], 0.1))
  const logits = g.op('Gemm', [flat, dense, g.initializer('fc.bias', weights([OLD_CLASSES], 0.1))])
  g.output('probabilities', g.op('Softmax', [logits], { axis: -1n }))
  return writeModel(g.build())
}

/** Columns of the rows that `tableModel` takes. */
export const COLUMNS = ['flow', 'current', 'vibration'] as const
const HIDDEN = 24

/** A small classifier of rows of three numbers: a dense layer `body.…` with ReLU and a dense layer `fc.…`. */
export function tableModel(): Uint8Array {
  const weights = uniform(11)
  const g = new GraphBuilder('table')
  const x = g.input('row', 'float32', [null, COLUMNS.length])
  const body = g.initializer('body.weight', weights([COLUMNS.length, HIDDEN], 1))
  const hidden = g.op('Relu', [g.op('Gemm', [x, body, g.initializer('body.bias', weights([HIDDEN], 0.5))])])
  const dense = g.initializer('fc.weight', weights([HIDDEN, OLD_CLASSES], 0.3))
  const logits = g.op('Gemm', [hidden, dense, g.initializer('fc.bias', weights([OLD_CLASSES], 0.1))])
  g.output('probabilities', g.op('Softmax', [logits], { axis: -1n }))
  return writeModel(g.build())
}

/**
 * The model as exporters write large ones: the bytes of its float32 weights lie in a file of that name beside it, one
 * after the other.
 */
export function apart(onnx: Uint8Array, location: string): { onnx: Uint8Array; data: Uint8Array } {
  const model = readModel(onnx)
  const pieces: Uint8Array[] = []
  let offset = 0
  for (const tensor of graphOf(model).initializer) {
    const { dtype, data } = toTensor(tensor)
    if (dtype !== 'float32') continue
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    const entries = { location, offset: String(offset), length: String(bytes.byteLength) }
    delete tensor.rawData
    tensor.dataLocation = 1
    tensor.externalData = Object.entries(entries).map(([key, value]) => ({
      $typeName: 'tideway.onnx.StringStringEntry',
      key,
      value,
    }))
    pieces.push(bytes)
    offset += bytes.byteLength
  }
  return { onnx: writeModel(model), data: Buffer.concat(pieces) }
}

export const SHAPES = ['columns', 'dots', 'rows'] as const

/** Noisy 8 x 8 images of stripes down, of dots and of stripes across, in turn; pixels 0 to 255. */
export function patterns(rows: number, seed = 1): { pixels: Uint8Array; labels: Int32Array } {
  const random = seeded(seed)
  const pixels = new Uint8Array(rows * SIDE * SIDE)
  const labels = Int32Array.from({ length: rows }, (_, row) => row % SHAPES.length)
  for (const [row, label] of labels.entries()) {
    const shift = random() < 0.5 ? 0 : 1
    for (let y = 0; y < SIDE; y += 1)
      for (let x = 0; x < SIDE; x += 1) {
        const lit = [(x + shift) % 2 === 0, (x + y + shift) % 2 === 0, (y + shift) % 2 === 0][label]
        pixels[(row * SIDE + y) * SIDE + x] = (lit ? 180 : 20) + Math.floor(random() * 50)
      }
  }
  return { pixels, labels }
}

/** The values of an initializer, as bytes to be compared bit for bit; undefined where there is none of that name. */
export function bitsOf(onnx: Uint8Array, name: string): Uint8Array | undefined {
  const found = findInitializer(graphOf(readModel(onnx)), name)
  if (found === undefined) return undefined
  const data = toTensor(found).data as Float32Array
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
}
