import type { TrainData } from '@tideway/core'
import { Tensor } from 'onnxruntime-node'
import { FEED } from './graphs/names.js'

type Numbers = Float32Array | Uint8Array | Int32Array

/** A batch's tensors, allocated once and filled with other rows for each step. */
export class Batch {
  readonly feeds: Readonly<Record<string, Tensor>>
  private readonly parts: readonly { readonly from: Buffer; readonly to: Buffer; readonly bytes: number }[]

  constructor(
    data: TrainData,
    readonly rows: number,
  ) {
    const all = [data.inputs, data.targets].map(({ dtype, shape, data: from }) => {
      const width = shape.slice(1).reduce((product, size) => product * size, 1)
      const to = new (from.constructor as new (length: number) => Numbers)(rows * width)
      const tensor = new Tensor(dtype as 'float32', to as Float32Array, [rows, ...shape.slice(1)])
      return { from: bytesOf(from as Numbers), to: bytesOf(to), bytes: width * to.BYTES_PER_ELEMENT, tensor }
    })
    this.parts = all
    this.feeds = { [FEED.rows]: all[0]?.tensor as Tensor, [FEED.targets]: all[1]?.tensor as Tensor }
  }

  /** Gathers the rows whose numbers stand in `order` from a place on. */
  fill(order: Uint32Array, begin: number): void {
    for (const { from, to, bytes } of this.parts) {
      for (let row = 0; row < this.rows; row++) {
        const at = (order[begin + row] as number) * bytes
        from.copy(to, row * bytes, at, at + bytes)
      }
    }
  }
}

/** Copying between buffers makes no object a row, as `subarray` would. */
function bytesOf(numbers: Numbers): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}
