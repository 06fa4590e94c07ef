import { elementCount, halfToNumber, type Session, type Signature, type Tensor, type Tensors } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import { takeRows } from '../pipeline/split.js'

/** Rows in one run, and numbers that its inputs may be, unless the model fixes the rows. */
const BATCH_ROWS = 256
const BATCH_NUMBERS = 2 ** 22

/** Numbers that the answers to rows may be that are held at once, 256 MiB. */
const MAX_HELD_NUMBERS = 2 ** 25

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

/** How many rows have answers that fit into memory, by those to the first; at least one. */
export async function rowsHeld(session: Session, inputs: Tensors): Promise<number> {
  const fixed = fixedRows(session.signature) ?? 1
  const places = Array.from({ length: fixed }, (_, at) => at % Math.max(1, rowCount(inputs)))
  const answers = await answersOf(session, pickRows(inputs, places))
  const perRow = answers.reduce((sum, { width }) => sum + width, 0)
  return Math.max(1, Math.floor(MAX_HELD_NUMBERS / Math.max(1, perRow)))
}

/**
 * What a model answers to rows, as numbers. Where it fixes the number of rows, the last run is filled up with the last row,
 * whose answers are dropped. Outputs of texts are left out. Throws `DATA_INVALID` where an output is not one answer to each
 * row, all of one shape.
 */
export async function answersOf(session: Session, inputs: Tensors): Promise<readonly Answer[]> {
  const rows = rowCount(inputs)
  const fixed = fixedRows(session.signature)
  const size = fixed ?? batchRows(inputs)
  const answers = new Map<string, Answer>()
  for (let from = 0; from < rows; from += size) {
    const taken = Math.min(size, rows - from)
    const places = Array.from({ length: fixed ?? taken }, (_, at) => Math.min(from + at, rows - 1))
    const outputs = await session.run(pickRows(inputs, places))
    for (const { name } of session.signature.outputs) {
      const tensor = outputs[name]
      if (tensor === undefined || tensor.dtype === 'string') continue
      const [count, ...shape] = tensor.shape
      const width = elementCount(shape)
      const isWhole = /int/.test(tensor.dtype)
      const answer = answers.get(name) ?? { name, shape, width, data: new Float64Array(rows * width), isWhole }
      if (count !== places.length || shape.join() !== answer.shape.join()) {
        const wanted = [places.length, ...answer.shape].join(', ')
        const issue = `output ${name} is [${tensor.shape.join(', ')}] for ${places.length} rows, not [${wanted}]`
        throw cloudErrors.DATA_INVALID({ issues: [issue] })
      }
      answers.set(name, answer)
      answer.data.set(numbersOf(tensor).subarray(0, taken * width), from * width)
    }
  }
  return [...answers.values()]
}

function batchRows(inputs: Tensors): number {
  const perRow = Object.values(inputs).reduce((sum, { shape }) => sum + elementCount(shape.slice(1)), 0)
  return Math.min(BATCH_ROWS, Math.max(1, Math.floor(BATCH_NUMBERS / Math.max(1, perRow))))
}

function numbersOf({ dtype, data }: Exclude<Tensor, { dtype: 'string' }>): Float64Array {
  if (dtype === 'float16') return Float64Array.from(data, halfToNumber)
  return Float64Array.from(data as ArrayLike<number | bigint>, Number)
}
