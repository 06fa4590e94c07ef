import type { ElementType } from './elements.js'

/** What an NPY header says. */
export interface NpyHeader {
  readonly type: ElementType
  readonly fortranOrder: boolean
  readonly shape: readonly number[]
}

/** Element types by NumPy's kind and size. */
const DTYPES: Readonly<Record<string, ElementType['dtype']>> = {
  b1: 'bool',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64',
}
const MOST_AXES = 32

// A Python literal of a dict; only what NumPy itself writes is understood, in any order of its keys.
const KEY = /^\s*(['"])(descr|fortran_order|shape)\1\s*:\s*/
const VALUES: Readonly<Record<string, RegExp>> = {
  descr: /^(['"])([^'"\\]*)\1/,
  fortran_order: /^()(True|False)/,
  shape: /^()\(((?:\s*\d{1,15}\s*,?)*)\)/,
}

/** Reads the header's text; a string says what is wrong with it. */
export function parseNpyHeader(text: string): NpyHeader | string {
  const found: Record<string, string> = {}
  let rest = text.trim()
  if (!rest.startsWith('{') || !rest.endsWith('}')) return 'its header is no dictionary'
  rest = rest.slice(1, -1)
  while (rest.trim() !== '') {
    const key = KEY.exec(rest)
    if (key === null) return 'its header has something else than descr, fortran_order and shape'
    rest = rest.slice(key[0].length)
    const name = key[2] ?? ''
    const value = VALUES[name]?.exec(rest)
    if (name === 'descr' && rest.startsWith('[')) return 'its elements are records with fields, not numbers'
    if (value === null || value === undefined) return `its header's ${name} cannot be read`
    if (name in found) return `its header has ${name} twice`
    found[name] = value[2] ?? ''
    rest = rest.slice(value[0].length).replace(/^\s*,?/, '')
  }
  const { descr, fortran_order: order, shape } = found
  if (descr === undefined || order === undefined || shape === undefined)
    return 'its header lacks descr, fortran_order or shape'
  const type = typeOf(descr)
  if (typeof type === 'string') return type
  const sizes = shape.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]))
  if (sizes.length > MOST_AXES) return `it claims ${sizes.length} axes; at most ${MOST_AXES} are read`
  return { type, fortranOrder: order === 'True', shape: sizes }
}

function typeOf(descr: string): ElementType | string {
  const match = /^([<>|=]?)([a-zA-Z])(\d*)/.exec(descr)
  const [, order, kind = '', size = ''] = match ?? []
  if (kind === 'O') return 'its elements are Python objects, which are pickled: reading them could run code'
  const dtype = match?.[0] === descr ? DTYPES[`${kind}${size}`] : undefined
  if (dtype === undefined)
    return `its elements are of a type that is not read; there is ${Object.keys(DTYPES).join(', ')}`
  return { dtype, bytes: Number(size), littleEndian: order !== '>' }
}
