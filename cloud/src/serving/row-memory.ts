import type { Tensors } from '@tideway/core'

/** More is not kept: a model with such rows runs for longer than it takes to get memory for them. */
const MAX_KEPT_BYTES = 4 * 1024 ** 2
const MAX_KEPT = 8

/**
 * Memory into which the rows of requests are put behind one another, run after run: what is new for each run is cold and has
 * to be zeroed, which a small model feels.
 *
 * @example
 * const lent: ArrayBuffer[] = []
 * const outputs = await session.run(joined(requests, (bytes) => memory.take(bytes, lent)))
 * memory.giveBack(lent, outputs)
 */
export class RowMemory {
  readonly #free: ArrayBuffer[] = []

  /** At least so many bytes, with whatever is in them. What has to be given back is added to `lent`. */
  take(bytes: number, lent: ArrayBuffer[]): ArrayBuffer {
    if (bytes > MAX_KEPT_BYTES) return new ArrayBuffer(bytes)
    const at = this.#free.findIndex(({ byteLength }) => byteLength >= bytes)
    const [found = new ArrayBuffer(sizeFor(bytes))] = at < 0 ? [] : this.#free.splice(at, 1)
    lent.push(found)
    return found
  }

  /** After the run. What an output lies in is not used again: an engine may answer with its input. */
  giveBack(lent: readonly ArrayBuffer[], outputs: Tensors): void {
    for (const buffer of lent) {
      if (this.#free.length >= MAX_KEPT) return
      if (!isIn(outputs, buffer)) this.#free.push(buffer)
    }
  }
}

/** Powers of two, so that memory for eight rows does for seven. */
function sizeFor(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(64, bytes)))
}

function isIn(outputs: Tensors, buffer: ArrayBuffer): boolean {
  for (const name in outputs) {
    const data = outputs[name]?.data
    if (ArrayBuffer.isView(data) && data.buffer === buffer) return true
  }
  return false
}
