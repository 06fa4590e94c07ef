import { seeded } from './seeded.js'

/** Choices that a seed tells whole. */
export class Random {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seeded(seed)
  }

  /** From 0 to below `end`, each equally likely. */
  below(end: number): number {
    return Math.floor(this.#next() * end)
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}

const NUMBERS = [0, -1, 1, 2, 1.5, 255, 256, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e300, -0]
const TEXTS = [
  '',
  'x',
  '0',
  '-1',
  '9007199254740993',
  '99999999999999999999',
  '1e3',
  '__proto__',
  'toString',
  '\ud800',
  '潮',
]
const TYPES = ['FP32', 'FP64', 'FP16', 'BF16', 'INT64', 'UINT64', 'INT8', 'BOOL', 'BYTES', 'FP8']
const SHAPES = [null, true, false, [], {}, [[]], [[1], [2]], [null], { name: 'x' }, { binary_data_size: 4 }]
/** Values that a field may not expect. */
const VALUES: readonly unknown[] = [...NUMBERS, ...TEXTS, ...TYPES, ...SHAPES]

const WORDS = ['NaN', '-Infinity', 'Inf', 'null', '1e999', '18446744073709551615', '9223372036854775808', '-', '1']
const MARKS = [
  '"',
  '\\',
  '\\u',
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  ' ',
  '\n',
  '[[[[[[[[[[[[[[[[[[',
  '"inputs":',
  '"parameters":{',
]
/** Bytes that a text, or a number in binary, may not expect. */
const BYTES: readonly Uint8Array[] = [
  ...[...WORDS, ...MARKS].map((text) => new TextEncoder().encode(text)),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xef, 0xbb, 0xbf),
]

/** Some bytes of it changed, taken out, put in or doubled. The given ones stay as they are. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + random.below(random.of([2, 8, 64])))
  switch (random.below(6)) {
    case 0:
      return joined(bytes.subarray(0, at), random.of(BYTES), bytes.subarray(at))
    case 1:
      return joined(bytes.subarray(0, at), random.of(BYTES), bytes.subarray(end))
    case 2:
      return joined(bytes.subarray(0, at), bytes.subarray(end))
    case 3:
      return joined(bytes.subarray(0, end), bytes.subarray(at))
    case 4:
      return joined(bytes.subarray(0, at))
    default: {
      const changed = joined(bytes)
      if (at < changed.length) changed[at] = changed[at]! ^ (1 << random.below(8))
      return changed
    }
  }
}

/** The same value, but somewhere in it something is another one, missing, or there twice. */
export function mutateJson(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.below(6) === 0) return random.of(VALUES)
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>
  const keys = Object.keys(copy)
  if (keys.length === 0) return random.of(VALUES)
  const key = random.of(keys)
  const dice = random.below(12)
  if (dice === 0) delete copy[key]
  else if (dice === 1 && Array.isArray(copy)) copy.push(copy[Number(key)])
  else if (dice === 2)
    copy[random.of(['name', 'data', 'shape', 'datatype', 'parameters', '__proto__'])] = random.of(VALUES)
  else copy[key] = mutateJson(copy[key], random)
  return copy
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts))
}
