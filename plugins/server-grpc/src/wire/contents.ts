import { type BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import {
  arrayClasses,
  type DataType,
  datatypeOf,
  decodeValues,
  elementCount,
  type Issues,
  type Tensor,
} from '@tideway/core'
import { bytes, type ReadField, readFields } from './reader.js'

type Values = Exclude<Tensor['data'], readonly string[]>

/** A field of numbers in `InferTensorContents`: its name, the type of its values, and how one is read. */
interface Numbers {
  readonly name: string
  readonly dtype: Exclude<DataType, 'string'>
  readonly wire: WireType
  readonly one: (reader: BinaryReader) => number | bigint
}

const NUMBERS: Readonly<Record<number, Numbers>> = {
  1: { name: 'bool_contents', dtype: 'bool', wire: WireType.Varint, one: (reader) => Number(reader.bool()) },
  2: { name: 'int_contents', dtype: 'int32', wire: WireType.Varint, one: (reader) => reader.int32() },
  3: { name: 'int64_contents', dtype: 'int64', wire: WireType.Varint, one: (reader) => BigInt(reader.int64()) },
  4: { name: 'uint_contents', dtype: 'uint32', wire: WireType.Varint, one: (reader) => reader.uint32() },
  5: { name: 'uint64_contents', dtype: 'uint64', wire: WireType.Varint, one: (reader) => BigInt(reader.uint64()) },
  6: { name: 'fp32_contents', dtype: 'float32', wire: WireType.Bit32, one: (reader) => reader.float() },
  7: { name: 'fp64_contents', dtype: 'float64', wire: WireType.Bit64, one: (reader) => reader.double() },
}
const TEXTS = 8

/** The number of the field that holds each type. FP16 and BF16 have none. */
const FIELD_OF: Readonly<Partial<Record<DataType, number>>> = {
  bool: 1,
  int8: 2,
  int16: 2,
  int32: 2,
  int64: 3,
  uint8: 4,
  uint16: 4,
  uint32: 4,
  uint64: 5,
  float32: 6,
  float64: 7,
  string: TEXTS,
}

/** `InferTensorContents`: the values of a tensor, one by one. */
export class Contents {
  readonly #numbers = new Map<number, Growing>()
  readonly #texts: string[] = []
  #fields: Readonly<Record<number, ReadField>> | undefined
  /** Index of the first text that is not UTF-8. */
  #notText: number | undefined

  get isEmpty(): boolean {
    return this.#texts.length === 0 && [...this.#numbers.values()].every(({ length }) => length === 0)
  }

  /** Reads a message; a further one is appended, as protobuf merges them. */
  read(message: Uint8Array): void {
    this.#fields ??= this.#readers()
    readFields(message, this.#fields)
  }

  /** The values as a tensor of this type and shape holds them. What is wrong goes to `issues`. */
  values(dtype: DataType, shape: readonly number[], at: string, issues: Issues): Tensor['data'] | undefined {
    const field = FIELD_OF[dtype]
    if (field === undefined) {
      issues.add(`${at}.contents: ${datatypeOf(dtype)} has no field there: send all inputs in raw_input_contents`)
      return undefined
    }
    const own = `${at}.contents.${nameOf(field)}`
    for (const other of this.#given()) {
      if (other !== field) issues.add(`${at}.contents.${nameOf(other)}: ${datatypeOf(dtype)} goes in ${nameOf(field)}`)
    }
    const values = field === TEXTS ? this.#texts : (this.#numbers.get(field)?.values() ?? empty(field))
    const count = elementCount(shape)
    if (values.length !== count) {
      issues.add(`${own}: has ${values.length} values, shape [${shape.join(', ')}] needs ${count}`)
      return undefined
    }
    if (this.#notText !== undefined) issues.add(`${own}.${this.#notText}: is not UTF-8`)
    // Types that have a field of their own are there already; smaller integers must fit theirs.
    if (field === TEXTS || NUMBERS[field]?.dtype === dtype) return values
    return decodeValues(dtype, values, { at: own, issues, nullIsNaN: false, infinite: true })
  }

  #given(): readonly number[] {
    const filled = [...this.#numbers].filter(([, { length }]) => length > 0).map(([field]) => field)
    return this.#texts.length > 0 ? [...filled, TEXTS] : filled
  }

  #readers(): Readonly<Record<number, ReadField>> {
    const numbers = Object.keys(NUMBERS).map((field) => [field, this.#numbersInto(Number(field))] as const)
    return { ...Object.fromEntries(numbers), [TEXTS]: bytes((value) => this.#addText(value)) }
  }

  #addText(value: Uint8Array): void {
    try {
      this.#texts.push(decoder.decode(value))
    } catch {
      this.#notText ??= this.#texts.length
      this.#texts.push('')
    }
  }

  #numbersInto(field: number): ReadField {
    const { dtype, wire: own, one } = NUMBERS[field] as Numbers
    return (reader, wire) => {
      if (wire !== own && wire !== WireType.LengthDelimited) return false
      const growing = this.#numbers.get(field) ?? new Growing(dtype)
      this.#numbers.set(field, growing)
      if (wire === own) {
        growing.reserve(1)
        growing.push(one(reader))
        return true
      }
      const packed = reader.bytes()
      if (own === WireType.Varint) {
        growing.reserve(varintsIn(packed))
        const end = reader.pos
        reader.pos = end - packed.byteLength
        while (reader.pos < end) growing.push(one(reader))
        if (reader.pos !== end) throw new RangeError(`${nameOf(field)} ends within a value`)
      } else growing.append(packed)
      return true
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function nameOf(field: number): string {
  return NUMBERS[field]?.name ?? 'bytes_contents'
}

function empty(field: number): Values {
  return new Growing((NUMBERS[field] as Numbers).dtype).values()
}

/** How many there are: each ends with the one byte that has no high bit. */
function varintsIn(packed: Uint8Array): number {
  let count = 0
  for (let i = 0; i < packed.length; i++) if (packed[i]! < 0x80) count++
  return count
}

/** Values of one type, of which nobody knows how many will come. */
class Growing {
  readonly #dtype: Numbers['dtype']
  #array: Values
  length = 0

  constructor(dtype: Numbers['dtype']) {
    this.#dtype = dtype
    this.#array = new arrayClasses[dtype](0)
  }

  reserve(more: number): void {
    const needed = this.length + more
    if (needed <= this.#array.length) return
    const size = this.length === 0 ? needed : Math.max(needed, 2 * this.#array.length)
    const grown = new arrayClasses[this.#dtype](size)
    // Both are of the class of one type, which the compiler cannot follow.
    ;(grown as Float64Array).set(this.#array as Float64Array)
    this.#array = grown
  }

  push(value: number | bigint): void {
    this.#array[this.length++] = value as number
  }

  /** Little-endian values as they lie in a packed field. */
  append(packed: Uint8Array): void {
    const bytesEach = this.#array.BYTES_PER_ELEMENT
    if (packed.byteLength % bytesEach !== 0) throw new RangeError('a packed field ends within a value')
    const count = packed.byteLength / bytesEach
    this.reserve(count)
    new Uint8Array(this.#array.buffer).set(packed, this.length * bytesEach)
    this.length += count
  }

  values(): Values {
    return this.#array.subarray(0, this.length)
  }
}
