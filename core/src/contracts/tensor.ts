/** Element types that cross our contracts; the names are NumPy's. */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'string'

/**
 * The array that holds each element type: float16 and bfloat16 as their bits in Uint16Array, bool as 0 and 1 in Uint8Array.
 */
export interface TensorArrays {
  float32: Float32Array
  float64: Float64Array
  float16: Uint16Array
  bfloat16: Uint16Array
  int8: Int8Array
  uint8: Uint8Array
  int16: Int16Array
  uint16: Uint16Array
  int32: Int32Array
  uint32: Uint32Array
  int64: BigInt64Array
  uint64: BigUint64Array
  bool: Uint8Array
  string: string[]
}

/** Element types whose values are numbers in a typed array. */
export type NumericType = Exclude<DataType, 'string'>

/** A typed array's class: makes zeros of a length, or a view of bytes (`length` counts values). */
export interface ArrayClass<A> {
  new (length: number): A
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): A
  readonly name: string
  readonly BYTES_PER_ELEMENT: number
}

/** Sets an own property whatever its name is: setting `__proto__` the usual way sets no property. */
export function setOwn<T>(record: Record<string, T>, name: string, value: T): void {
  if (name === '__proto__')
    Object.defineProperty(record, name, { value, enumerable: true, writable: true, configurable: true })
  else record[name] = value
}

/** The class of the array that holds each element type; strings have none, they are in a plain array. */
export const arrayClasses: { readonly [T in NumericType]: ArrayClass<TensorArrays[T]> } = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
}

/** Row-major values with a shape; `data.length` is the product of `shape`. */
export type Tensor = {
  [T in DataType]: { readonly dtype: T; readonly shape: readonly number[]; readonly data: TensorArrays[T] }
}[DataType]

export type Tensors = Readonly<Record<string, Tensor>>

/** One input or output of a model; `null` in the shape is a free dimension (the batch, usually the first). */
export interface TensorSpec {
  readonly name: string
  readonly dtype: DataType
  readonly shape: readonly (number | null)[]
}

export interface Signature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
