import { errors } from '../errors.js'

/** JSON as servers and clients of the Open Inference Protocol write it. */
export interface InferJson {
  /** As `JSON.parse` gives it; where `nonFinite`, null stands for NaN and an empty object for null. */
  readonly value: unknown
  /** Whether the text has NaN or infinities as bare words, which Triton writes and takes; JSON itself has none. */
  readonly nonFinite: boolean
  /** The same value, but whole numbers of 16 digits and more are strings: `JSON.parse` has lost their last digits. */
  readonly exact: () => unknown
}

/** Numbers and literals, in text outside of strings. */
const WORDS = /[-+.\w]+/g
const NON_FINITE = /\b(?:NaN|Inf(?:inity)?)\b/
const LONG_INTEGER = /^-?\d{16,}$/

/** Bare words that are no JSON, and what `JSON.parse` takes for them. Null must not be taken for NaN. */
const REPLACEMENTS: ReadonlyMap<string, string> = new Map([
  ['NaN', 'null'],
  ['-NaN', 'null'],
  ['Inf', '1e999'],
  ['Infinity', '1e999'],
  ['-Inf', '-1e999'],
  ['-Infinity', '-1e999'],
  ['null', '{}'],
])

/**
 * Reads JSON with what the protocol's peers add to it: NaN, Infinity, Inf and their negatives (RapidJSON's
 * kParseNanAndInfFlag, with which Triton reads), and 64-bit integers as numbers with all their digits. `JSON.parse` does
 * the work and the text is walked only where it cannot: by hand and not by a parser of arbitrary precision, since those
 * are tens of times slower on the lists of floats that requests are made of, and take no NaN. Throws `JSON_INVALID`.
 *
 * @example
 * parseInferJson('[9007199254740993]').exact() // ['9007199254740993']
 */
export function parseInferJson(text: string, what: string): InferJson {
  try {
    return { value: JSON.parse(text), nonFinite: false, exact: () => JSON.parse(swapWords(text, quoteLong)) }
  } catch (cause) {
    if (NON_FINITE.test(text)) {
      const replaced = swapWords(text, replaceNonFinite)
      try {
        return { value: JSON.parse(replaced), nonFinite: true, exact: () => JSON.parse(swapWords(replaced, quoteLong)) }
      } catch {
        // Not only for those words: the first error is the one to tell.
      }
    }
    throw errors.JSON_INVALID({ what, bytes: new TextEncoder().encode(text).byteLength }, cause)
  }
}

function quoteLong(word: string): string {
  return LONG_INTEGER.test(word) ? `"${word}"` : word
}

function replaceNonFinite(word: string): string {
  const replacement = REPLACEMENTS.get(word)
  if (replacement !== undefined) return replacement
  // A number beyond all doubles is no infinity: what stands for it here is refused wherever a number is wanted.
  return Math.abs(Number(word)) === Number.POSITIVE_INFINITY ? '{}' : word
}

/** The text with every word outside of strings swapped. One pass, whatever the text is. */
function swapWords(text: string, swap: (word: string) => string): string {
  const parts: string[] = []
  let at = 0
  while (at < text.length) {
    const quote = text.indexOf('"', at)
    const end = quote < 0 ? text.length : quote
    parts.push(text.slice(at, end).replace(WORDS, swap))
    at = quote < 0 ? end : endOfString(text, quote)
    parts.push(text.slice(end, at))
  }
  return parts.join('')
}

/** Where the string that begins with this quote has ended. */
function endOfString(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at + 1
  }
  return text.length
}
