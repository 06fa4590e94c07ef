import { philox } from '../random.js'

/** Purposes of random numbers in batches; counted on from `STREAM` of the trainer, with room for more there. */
export const BATCH_STREAM = { row: 64, mixup: 65, oversample: 66 } as const

/**
 * Numbers for one place of one epoch, a pure function of (seed, purpose, epoch, place): neither a resumed run nor the
 * number of threads changes them. Philox keys the state of xoshiro128** (Blackman and Vigna 2018), which gives the words.
 */
export class PlaceRandom {
  private a = 0
  private b = 0
  private c = 0
  private d = 1
  private spare = 0
  private hasSpare = false

  /** Begins the sequence of a place. */
  begin(seed: number, stream: number, epoch: number, place: number): this {
    const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
    const [a, b, c, d] = philox(key, [place >>> 0, epoch >>> 0, 0, stream])
    this.a = a
    this.b = b
    this.c = c
    this.hasSpare = false
    // A state of zeros alone would stay one.
    this.d = (a | b | c | d) === 0 ? 1 : d
    return this
  }

  /** A word, uniform in [0, 2^32). */
  word(): number {
    const scrambled = Math.imul(this.b, 5)
    const drawn = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    const shifted = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= shifted
    this.d = (this.d << 11) | (this.d >>> 21)
    return drawn
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.word() / 2 ** 32
  }

  /** Uniform in [-limit, limit). */
  within(limit: number): number {
    return (this.word() / 2 ** 31 - 1) * limit
  }

  /** A whole number from 0 up, below `end`. */
  below(end: number): number {
    return Math.floor(this.uniform() * end)
  }

  /** Of mean 0 and standard deviation 1: Marsaglia's polar method (1964), which gives two at a time. */
  normal(): number {
    if (this.hasSpare) {
      this.hasSpare = false
      return this.spare
    }
    for (;;) {
      const x = this.within(1)
      const y = this.within(1)
      const square = x * x + y * y
      if (square >= 1 || square === 0) continue
      const times = Math.sqrt((-2 * Math.log(square)) / square)
      this.spare = y * times
      this.hasSpare = true
      return x * times
    }
  }

  /** A share of Beta(alpha, alpha). In logarithms, since gamma numbers of a small alpha are below what a double holds. */
  beta(alpha: number): number {
    return 1 / (1 + Math.exp(this.logGamma(alpha) - this.logGamma(alpha)))
  }

  /** The logarithm of a gamma number (Marsaglia and Tsang 2000, with their step from alpha + 1 to alpha). */
  private logGamma(alpha: number): number {
    const d = alpha + 1 - 1 / 3
    for (;;) {
      const x = this.normal()
      const root = 1 + x / Math.sqrt(9 * d)
      const v = root * root * root
      if (v > 0 && Math.log(1 - this.uniform()) < (x * x) / 2 + d * (1 - v + Math.log(v)))
        return Math.log(d * v) + Math.log(1 - this.uniform()) / alpha
    }
  }
}
