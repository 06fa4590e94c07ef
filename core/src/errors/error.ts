/** What a catalogue says of one code. `status` is the HTTP status the code answers with; `fix` says what to do. */
export interface ErrorEntry<Data> {
  readonly status: number
  readonly message: (data: Data) => string
  readonly fix: string
}

/** Error data may hold ids, sizes, digests and field names; never payloads or secrets. */
// biome-ignore format: one line reads better
export type ErrorData = Readonly<Record<string, unknown>>

/** Every error that Tideway throws on purpose: a literal `code`, typed `data`, the HTTP `status` and a `cause`. */
export class TidewayError<Code extends string = string, Data extends ErrorData = ErrorData> extends Error {
  override readonly name = 'TidewayError'
  readonly code: Code
  readonly data: Data
  readonly status: number

  constructor(code: Code, message: string, data: Data, status: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.data = data
    this.status = status
  }
}

// The catalogue's own entries carry their data types; `never` lets each be a different function.
type Entries = Readonly<Record<string, ErrorEntry<never>>>
type DataOf<E> = E extends ErrorEntry<infer D> ? D : never

export type ErrorFactories<E extends Entries> = {
  readonly [Code in keyof E & string]: (
    data: DataOf<E[Code]>,
    cause?: unknown,
  ) => TidewayError<Code, DataOf<E[Code]> & ErrorData>
}

/** A package's catalogue: one function per code that makes the error, and the entries for the documentation. */
export interface ErrorCatalogue<E extends Entries> {
  readonly entries: E
  readonly errors: ErrorFactories<E>
}

/** One entry of a catalogue; a helper so that `data` is typed where the message is written. */
export function entry(status: number, message: () => string, fix: string): ErrorEntry<Record<string, never>>
export function entry<Data extends ErrorData>(
  status: number,
  message: (data: Data) => string,
  fix: string,
): ErrorEntry<Data>
export function entry<Data extends ErrorData>(
  status: number,
  message: (data: Data) => string,
  fix: string,
): ErrorEntry<Data> {
  return { status, message, fix }
}

/** What others say, libraries above all, may end with one already. */
const ONE_STOP = /(?<!\.)\.$/

/**
 * Declares a package's error codes. The message of a thrown error is the entry's message followed by its fix.
 *
 * @example
 * export const { entries, errors } = defineErrors({
 *   NAME_INVALID: entry<{ name: string }>(400, (d) => `"${d.name}" is not a valid name`, 'Use a-z, 0-9, _ and -.'),
 * })
 * throw errors.NAME_INVALID({ name: 'No Spaces' })
 */
export function defineErrors<const E extends Entries>(entries: E): ErrorCatalogue<E> {
  const errors: Record<string, (data: never, cause?: unknown) => TidewayError> = {}
  for (const [code, item] of Object.entries(entries)) {
    errors[code] = (data, cause) =>
      new TidewayError(
        code,
        `${item.message(data).replace(ONE_STOP, '')}. ${item.fix}`,
        data as ErrorData,
        item.status,
        cause,
      )
  }
  return { entries, errors: errors as ErrorFactories<E> }
}

/** The code of any thrown value, if it is one of ours (also across copies of this package). */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof Error && error.name === 'TidewayError' && 'code' in error) return String(error.code)
  return undefined
}
