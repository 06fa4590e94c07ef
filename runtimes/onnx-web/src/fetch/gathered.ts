const FIRST_BYTES = 2 ** 20

/** Pieces of a file end to end, in one buffer: of the size that was announced, else one that doubles. */
export class Gathered {
  private buffer: Uint8Array<ArrayBuffer>
  length = 0

  constructor(
    announced: number | undefined,
    private readonly maxBytes: number,
  ) {
    this.buffer = new Uint8Array(announced ?? Math.min(FIRST_BYTES, maxBytes))
  }

  /** The caller has seen to it that the limit holds. */
  add(piece: Uint8Array): void {
    const needed = this.length + piece.length
    if (needed > this.buffer.length) {
      const larger = new Uint8Array(Math.max(needed, Math.min(this.maxBytes, 2 * this.buffer.length)))
      larger.set(this.buffer.subarray(0, this.length))
      this.buffer = larger
    }
    this.buffer.set(piece, this.length)
    this.length = needed
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.buffer.subarray(0, this.length)
  }
}
