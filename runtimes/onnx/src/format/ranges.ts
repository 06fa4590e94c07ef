import type { Model } from '../generated/onnx_pb.js'
import { graphOf } from './node.js'

/** Where one tensor's values lie in a model file, in bytes from its start. */
export interface TensorRange {
  readonly name: string
  readonly begin: number
  readonly end: number
}

/** The initializers of a model read from `bytes`, by place in the file: where to cut it into chunks. */
export function tensorRanges(model: Model, bytes: Uint8Array): TensorRange[] {
  const ranges: TensorRange[] = []
  for (const tensor of graphOf(model).initializer) {
    const raw = tensor.rawData
    if (raw === undefined || raw.buffer !== bytes.buffer) continue
    const begin = raw.byteOffset - bytes.byteOffset
    ranges.push({ name: tensor.name ?? '', begin, end: begin + raw.byteLength })
  }
  return ranges.sort((a, b) => a.begin - b.begin)
}
