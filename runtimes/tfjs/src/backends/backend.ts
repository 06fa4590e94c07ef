/** A backend of TensorFlow.js as it can be chosen here. */
export interface Backend {
  /** As it is asked for: `tfjs-node-gpu`, `tfjs-node`, `webgpu`, `wasm`, `cpu`. */
  readonly name: string
  /** What TensorFlow.js registers it as; both packages for Node are `tensorflow`. */
  readonly engine: string
  /** Its npm package. */
  readonly package: string
  /** How to get it where it is missing. */
  readonly get: string
  /** Threads of the CPU inside one operator that it can be given. */
  readonly maxThreads: number
  /** Whether it may be here, told without starting anything. */
  readonly mayBeHere: () => boolean
  /**
   * Makes TensorFlow.js ready to switch to it in one step; it does not switch. Throws `Unusable` with the reason. Called
   * once a process, until it succeeds.
   */
  readonly start: (threads?: number) => Promise<Started>
}

export interface Started {
  /** The name of a device that only computes on the CPU, where that would be thought a GPU. */
  readonly software?: string
}

/** A backend that comes before the chosen one and is not it. */
export interface Skipped {
  readonly backend: string
  readonly reason: string
  /** How to get it. */
  readonly get: string
}
