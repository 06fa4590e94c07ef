import { errors } from '../errors.js'

/** A dense layer in place of what a model ended with. */
export interface HeadOptions {
  /** Softmax over so many classes. */
  readonly classes?: number
  /** So many numbers, without activation; instead of `classes`. */
  readonly outputs?: number
  /**
   * How features of several places become one vector: their mean (default), all of them in a row, or those of the
   * first or last place (a class token, the end of a sequence).
   */
  readonly pool?: 'average' | 'flatten' | 'first' | 'last'
  /** Where the channels of features with places are: behind the batch for images (default), last for sequences (default). */
  readonly channels?: 'first' | 'last'
  /** The share of features that is left out at random in each step, before the layer; 0 when left out. */
  readonly dropout?: number
}

/** What is done to an imported model before it is trained. */
export interface FineTuneOptions {
  /** Patterns (`*` any text, `?` one character) of initializers or nodes whose weights stay as they are. */
  readonly freeze?: readonly string[]
  /** The node or value behind which everything is dropped; with a head, the input of the last dense layer when left out. */
  readonly cutAt?: string
  readonly head?: HeadOptions
  /** One row's shape, where the file leaves sizes other than the batch free. */
  readonly inputShape?: readonly number[]
}

/** Throws `TRAIN_CONFIG_INVALID` naming every field. */
export function checkOptions({ head, inputShape }: FineTuneOptions): void {
  const issues: string[] = []
  if (head !== undefined) {
    const { classes, outputs, dropout = 0 } = head
    if ((classes === undefined) === (outputs === undefined)) issues.push('head: give either classes or outputs')
    if (classes !== undefined && !(Number.isInteger(classes) && classes >= 2))
      issues.push(`head.classes: ${classes} is no whole number from 2`)
    if (outputs !== undefined && !(Number.isInteger(outputs) && outputs >= 1))
      issues.push(`head.outputs: ${outputs} is no whole number from 1`)
    if (!(dropout >= 0 && dropout < 1)) issues.push(`head.dropout: ${dropout} is not in [0, 1)`)
  }
  if (inputShape?.some((size) => !Number.isInteger(size) || size < 1))
    issues.push(`inputShape: [${inputShape.join(', ')}] has sizes that are no whole numbers from 1`)
  refuse(issues)
}

export function refuse(issues: readonly string[]): void {
  if (issues.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues })
}
