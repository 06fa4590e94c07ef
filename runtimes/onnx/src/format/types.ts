import type { DataType } from '@tideway/core'

/** ONNX's numbers of the element types that core's `DataType` names (TensorProto.DataType). */
export const ELEMENT_TYPE = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const satisfies Record<DataType, number>

const names = new Map<number, DataType>()
for (const [name, number] of Object.entries(ELEMENT_TYPE)) names.set(number, name as DataType)
// No engine that has a JavaScript API takes a tensor of it, nor do the importer and the rules compute on it.
names.delete(ELEMENT_TYPE.bfloat16)

/** The `DataType` of an ONNX element type, or undefined for one that no runtime here computes on. */
export function dataTypeOf(elementType: number | undefined): DataType | undefined {
  return elementType === undefined ? undefined : names.get(elementType)
}

/**
 * Bits per element in `raw_data` by ONNX element type; sub-byte types are packed. Strings have none.
 * 14 to 23: complex64, complex128, bfloat16, four 8-bit floats, uint4, int4, float4.
 */
// biome-ignore format: a table
export const ELEMENT_BITS: Readonly<Record<number, number>> = {
  1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64,
  14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4,
}

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const
