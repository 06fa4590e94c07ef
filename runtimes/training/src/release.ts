import { MessageChannel } from 'node:worker_threads'

const { port1: closed } = new MessageChannel()
closed.close()

/**
 * Frees an array's memory now instead of when the garbage collector comes to it; all that lies in its buffer is empty
 * afterwards. What is sent to a closed port is dropped, its transferred buffers with it (HTML, "message port post message steps": a
 * transfer detaches the buffer whether or not anyone is there to receive it).
 */
export function release({ buffer }: Float32Array | Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > 0) closed.postMessage(null, [buffer])
}
