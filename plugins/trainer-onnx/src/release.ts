import { MessageChannel } from 'node:worker_threads'

const { port1: closed } = new MessageChannel()
closed.close()

/**
 * Frees an array's memory now instead of when the garbage collector comes to it; the array is empty afterwards. What is
 * sent to a closed port is dropped, its transferred buffers with it (HTML, "message port post message steps": a
 * transfer detaches the buffer whether or not anyone is there to receive it).
 */
export function release({ buffer }: Float32Array | Uint8Array): void {
  if (buffer instanceof ArrayBuffer) closed.postMessage(null, [buffer])
}

type Tensors = Readonly<Record<string, Float32Array>>

/**
 * The same tensors for a reader that takes each of them once: an array whose names are all `spent` is freed when the
 * tensor after its last one is taken, the very last at `end`.
 */
export function freeing<Part extends string>(
  parts: Readonly<Record<Part, Tensors>>,
  spent: (name: string) => boolean,
): { readonly parts: Record<Part, Tensors>; readonly end: () => void } {
  // Several tensors may lie in one array.
  const left = new Map<ArrayBufferLike, number>()
  for (const part of Object.values<Tensors>(parts))
    for (const [name, { buffer }] of Object.entries(part))
      left.set(buffer, (left.get(buffer) ?? 0) + (spent(name) ? 1 : Number.POSITIVE_INFINITY))
  let taken: Float32Array | undefined
  const take = (next?: Float32Array): Float32Array | undefined => {
    if (taken !== undefined) {
      const others = (left.get(taken.buffer) ?? 0) - 1
      left.set(taken.buffer, others)
      if (others === 0) release(taken)
    }
    taken = next
    return next
  }
  const reading = (part: Tensors): Tensors => {
    const getters = Object.entries(part).map(([name, tensor]) => [name, { enumerable: true, get: () => take(tensor) }])
    return Object.defineProperties({}, Object.fromEntries(getters))
  }
  return {
    parts: Object.fromEntries(Object.entries<Tensors>(parts).map(([name, part]) => [name, reading(part)])) as Record<
      Part,
      Tensors
    >,
    end: () => take(),
  }
}
