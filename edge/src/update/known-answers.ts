import { decodeTensors, halfToNumber, type Session, type Tensor, type Tensors, type Variant } from '@tideway/core'
import { errors } from '../errors.js'

type Test = Pick<Variant['knownAnswers'], 'tolerance' | 'tolerances' | 'top1Margin'>

/**
 * Runs the known answers through a loaded session. Throws `KNOWN_ANSWERS_MISMATCH` with the first value that differs by
 * more than the tolerance, or the first row whose top-1 differs though it leads clearly; `TENSORS_INVALID`.
 */
export async function runKnownAnswers(session: Session, blob: Uint8Array, test: Test): Promise<void> {
  const { inputs = {}, outputs = {} } = decodeTensors(blob)
  let actual: Tensors
  try {
    actual = await session.run(inputs)
  } catch (cause) {
    throw mismatch('(all)', 0, { reason: 'the model could not be run' }, test, cause)
  }
  for (const [name, expected] of Object.entries(outputs)) {
    const tolerance = test.tolerances?.[name] ?? test.tolerance
    compare(name, expected, actual[name], { ...test, tolerance })
  }
}

function compare(name: string, expected: Tensor, actual: Tensor | undefined, test: Test): void {
  if (actual === undefined) throw mismatch(name, 0, { reason: 'the model has no such output' }, test)
  if (actual.dtype !== expected.dtype || actual.shape.join() !== expected.shape.join()) {
    const is = `${actual.dtype} [${actual.shape.join(', ')}]`
    throw mismatch(name, 0, { reason: `it is ${is}, not ${expected.dtype} [${expected.shape.join(', ')}]` }, test)
  }
  const rows = expected.shape[0] ?? 1
  const width = rows === 0 ? 0 : expected.data.length / rows
  if (expected.dtype === 'string') return compareStrings(name, expected.data, actual.data as string[], width, test)
  const [want, have] = [numbersOf(expected), numbersOf(actual)]
  for (const [i, value] of want.entries()) {
    const difference = Math.abs((have[i] ?? Number.NaN) - value)
    // Equal infinities and NaNs differ by NaN; NaN against a number must not pass.
    if (difference <= test.tolerance || Object.is(have[i], value)) continue
    const row = Math.floor(i / width)
    throw mismatch(
      name,
      row,
      { difference, reason: `a value differs by ${difference}, more than ${test.tolerance}` },
      test,
    )
  }
  if (test.top1Margin === undefined || expected.shape.length !== 2 || width < 2) return
  for (let row = 0; row < rows; row++) {
    const [a, b] = [want.subarray(row * width, (row + 1) * width), have.subarray(row * width, (row + 1) * width)]
    const top = top1Of(a)
    if (top.margin <= test.top1Margin || top.index === top1Of(b).index) continue
    throw mismatch(name, row, { reason: `the top class is ${top1Of(b).index}, not ${top.index}` }, test)
  }
}

function compareStrings(name: string, want: string[], have: string[], width: number, test: Test): void {
  const at = want.findIndex((text, i) => text !== have[i])
  if (at >= 0) throw mismatch(name, Math.floor(at / width), { reason: 'a text differs' }, test)
}

function mismatch(
  output: string,
  row: number,
  what: { readonly reason: string; readonly difference?: number },
  test: Test,
  cause?: unknown,
): Error {
  const { reason, difference = 0 } = what
  return errors.KNOWN_ANSWERS_MISMATCH({ output, row, difference, tolerance: test.tolerance, reason }, cause)
}

function numbersOf(tensor: Tensor): Float64Array {
  const values = tensor.data as ArrayLike<number | bigint>
  const read = tensor.dtype === 'float16' ? (value: number | bigint) => halfToNumber(Number(value)) : Number
  return Float64Array.from(values, read)
}

/** The index of the largest value and how far it leads. */
function top1Of(row: Float64Array): { index: number; margin: number } {
  let index = 0
  let second = -Infinity
  for (let i = 1; i < row.length; i++) {
    const [value, top] = [row[i] ?? -Infinity, row[index] ?? -Infinity]
    if (value > top) {
      second = top
      index = i
    } else if (value > second) second = value
  }
  return { index, margin: (row[index] ?? -Infinity) - second }
}
