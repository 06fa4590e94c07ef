import type * as Ort from 'onnxruntime-web'

export type OrtModule = typeof Ort

/** A build of ONNX Runtime: its JavaScript, loaded when it is first needed, and the name of its WebAssembly file. */
export interface Build {
  /** What it has beyond the others; it starts only where this does. */
  readonly provider: 'wasm' | 'webgpu'
  readonly file: string
  load(): Promise<OrtModule>
}

/** What there is of ONNX Runtime where this package was loaded; `#engines` in package.json says which file tells it. */
export interface Engines {
  readonly wasm: Build
  readonly webgpu?: Build
  /** What errors call this place. */
  readonly platform: string
  readonly arch?: string
  /** Processor cores. */
  cores(): number
  /** Why threads cannot be had; undefined where they can. */
  withoutThreads(): string | undefined
}
