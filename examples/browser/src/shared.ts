/** The classes of the model: ten digits, and places for glyphs that nobody has taught it yet. */
export const DIGITS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const
export const GLYPHS = ['★', '♥', '△'] as const
export const CLASSES = [...DIGITS, ...GLYPHS]

export const SIDE = 28
export const PIXELS = SIDE * SIDE
export const INPUT = 'image'
export const OUTPUT = 'probabilities'

/** The layer that the page trains, as the head of a fine-tuned model is called. */
export const HEAD = { kernel: 'head/kernel', bias: 'head/bias' } as const

/** Rows of one training step in the page. */
export const BATCH = 32

/** What the build writes beside the page. */
export const FILES = {
  model: 'digits.onnx',
  step: 'step.onnx',
  /** A `StepPlan`. */
  plan: 'step.json',
  /** What a step begins with (`initial`), and real digits: some that were trained on (`digits`) to mix in, and others to judge by. */
  tensors: 'step.tensors',
  report: 'report.json',
} as const

/** How `step.onnx` is run. */
export interface StepPlan {
  /** By the name of what a step takes, the name of what it gives for the next one. */
  readonly carried: Readonly<Record<string, string>>
  /** Where in what is carried the trained parameters lie. */
  readonly parameters: Readonly<
    Record<string, { readonly tensor: string; readonly offset: number; readonly shape: readonly number[] }>
  >
}

export interface Report {
  /** On digits that neither training nor the choice of weights has seen. */
  readonly accuracy: number
  readonly testRows: number
  readonly trainRows: number
  readonly seconds: number
  readonly bytes: number
}

/** Images, end to end, each value from 0 to 1, and their classes. */
export interface Rows {
  readonly images: Float32Array
  readonly classes: readonly number[]
}
