/**
 * Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): random words as a pure function
 * of a key and a counter. There is no state to save, so a resumed run draws what the first one would have.
 */
export function philox(
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0)
    const low0 = Math.imul(0xd2511f53, c0)
    const high1 = multiplyHigh(0xcd9e8d57, c2)
    const low1 = Math.imul(0xcd9e8d57, c2)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** The upper 32 bits of a 64-bit product. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff]
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const other = aLow * bHigh + (middle % 0x10000)
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) >>> 0
}

/** What random words are for; each purpose has its own sequence per seed. */
export const STREAM = { initialization: 0, shuffle: 1, dropout: 2 } as const

/** The words of one sequence, keyed by seed, purpose and place (the epoch, or the parameter). */
export function words(seed: number, stream: number, place: number): () => number {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
  let block = 0
  let left: number[] = []
  return () => {
    if (left.length === 0) left = philox(key, [block++, 0, place, stream]).reverse()
    return left.pop() as number
  }
}

/** The rows of one epoch in random order (Fisher-Yates). */
export function shuffled(rows: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: rows }, (_, row) => row)
  const next = words(seed, STREAM.shuffle, epoch)
  for (let at = rows - 1; at > 0; at--) {
    const other = Math.floor((next() / 2 ** 32) * (at + 1))
    const kept = order[at] as number
    order[at] = order[other] as number
    order[other] = kept
  }
  return order
}

/** Keras's default for a dense kernel [inputs, units]: uniform within ±√(6 / (inputs + units)) (Glorot and Bengio 2010). */
export function glorotUniform(inputs: number, units: number, seed: number, parameter: number): Float32Array {
  const limit = Math.sqrt(6 / (inputs + units))
  const next = words(seed, STREAM.initialization, parameter)
  return Float32Array.from({ length: inputs * units }, () => (next() / 2 ** 31 - 1) * limit)
}
