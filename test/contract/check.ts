import { codeOf, type Tensors } from '@tideway/core'

/** Checks of suites that run in a page, too, where no test framework is. */
export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

/** Plain data, equal in everything but the order of keys. */
export function checkSame(actual: unknown, wanted: unknown, what: string): void {
  const [is, should] = [actual, wanted].map((value) => JSON.stringify(value, sorted))
  check(is === should, `${what} is ${is}, should be ${should}`)
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** The data of an error of this code that a promise is rejected with. */
export async function checkRejects(promise: Promise<unknown>, code: string): Promise<Record<string, unknown>> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown ?? new Error('nothing'),
  )
  check(error !== undefined, `no error; should be ${code}`)
  const text = error instanceof Error ? error.message : typeof error
  check(codeOf(error) === code, `the error is ${codeOf(error) ?? text}, should be ${code}`)
  return (error as { readonly data: Record<string, unknown> }).data
}

/** Tensors of the same names, types, shapes and kinds of array, whose values differ by no more than the tolerance. */
export function checkClose(actual: Tensors, wanted: Tensors, tolerance = 0): void {
  checkSame(Object.keys(actual).toSorted(), Object.keys(wanted).toSorted(), 'the list of outputs')
  for (const [name, want] of Object.entries(wanted)) {
    const got = actual[name]
    checkSame([got?.dtype, got?.shape], [want.dtype, want.shape], `type and shape of ${name}`)
    check(got?.data.constructor === want.data.constructor, `${name} is in a ${got?.data.constructor.name}`)
    check(got.data.length === want.data.length, `${name} has ${got.data.length} values, not ${want.data.length}`)
    for (let i = 0; i < want.data.length; i++) {
      const [a, b] = [got.data[i], want.data[i]]
      const equal = typeof b === 'number' ? Math.abs(Number(a) - b) <= tolerance : a === b
      check(equal, `${name}[${i}] is ${a}, should be ${b} (within ${tolerance})`)
    }
  }
}
