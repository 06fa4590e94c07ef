import { elementCount, halfToNumber, type Session, type Signature, type Tensor, type Tensors } from '@tideway/core'
import { takeRows } from '../pipeline/split.js'

/** Rows in one run, unless the model fixes the number. */
const BATCH_ROWS = 256

/** One output of all rows: `width` numbers for each. */
export interface Answer {
  readonly name: string
  readonly shape: readonly number[]
  readonly width: number
  readonly data: Float64Array
  /** Of whole numbers, as class indices are. */
  readonly isWhole: boolean
}

/** How many rows a model takes at once; undefined where it leaves that free. */
export function fixedRows({ inputs }: Signature): number | undefined {
  return inputs.find(({ shape }) => typeof shape[0] === 'number')?.shape[0] ?? undefined
}

export const rowCount = (inputs: Tensors): number => Object.values(inputs)[0]?.shape[0] ?? 0

/** The named rows of every tensor, copied. */
export function pickRows(inputs: Tensors, rows: ArrayLike<number>): Tensors {
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, takeRows(tensor, rows)]))
}

/**
 * What a model answers to rows, as numbers. Where it fixes the number of rows, the last run is filled up with the last row,
 * whose answers are dropped. Outputs of texts are left out.
 */
export async function answersOf(session: Session, inputs: Tensors): Promise<readonly Answer[]> {
  const rows = rowCount(inputs)
  const size = fixedRows(session.signature) ?? BATCH_ROWS
  const fixed = fixedRows(session.signature) !== undefined
  const answers = new Map<string, Answer>()
  for (let from = 0; from < rows; from += size) {
    const taken = Math.min(size, rows - from)
    const places = Array.from({ length: fixed ? size : taken }, (_, at) => Math.min(from + at, rows - 1))
    const outputs = await session.run(pickRows(inputs, places))
    for (const { name } of session.signature.outputs) {
      const tensor = outputs[name]
      if (tensor === undefined || tensor.dtype === 'string') continue
      const shape = tensor.shape.slice(1)
      const width = elementCount(shape)
      const isWhole = /int/.test(tensor.dtype)
      const answer = answers.get(name) ?? { name, shape, width, data: new Float64Array(rows * width), isWhole }
      answers.set(name, answer)
      answer.data.set(numbersOf(tensor).subarray(0, taken * width), from * width)
    }
  }
  return [...answers.values()]
}

function numbersOf({ dtype, data }: Exclude<Tensor, { dtype: 'string' }>): Float64Array {
  if (dtype === 'float16') return Float64Array.from(data, halfToNumber)
  return Float64Array.from(data as ArrayLike<number | bigint>, Number)
}
