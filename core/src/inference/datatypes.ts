import type { DataType } from '../contracts/tensor.js'

/** Ours by the name of the Open Inference Protocol, section "Tensor Data Types", and of Triton for BF16. */
const DTYPES: Readonly<Record<string, DataType>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'bfloat16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
}

const NAMES = Object.fromEntries(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name])) as Readonly<
  Record<DataType, string>
>

/** Names of element types in the Open Inference Protocol v2, those that `DataType` has. */
export const datatypes: readonly string[] = Object.keys(DTYPES)

/** The name that the Open Inference Protocol gives to an element type: `FP32` for `float32`. */
export function datatypeOf(dtype: DataType): string {
  return NAMES[dtype]
}

/** The element type of an Open Inference Protocol name; undefined for anything else, whatever it is. */
export function dtypeOf(datatype: unknown): DataType | undefined {
  return typeof datatype === 'string' && Object.hasOwn(DTYPES, datatype) ? DTYPES[datatype] : undefined
}
