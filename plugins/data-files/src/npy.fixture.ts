/** NPY's element types as NumPy writes them, with how one value is put into a buffer. */
export const NUMPY: Readonly<
  Record<string, { bytes: number; put: (view: DataView, at: number, value: number, little: boolean) => void }>
> = {
  b1: { bytes: 1, put: (view, at, value) => view.setUint8(at, value & 1) },
  i1: { bytes: 1, put: (view, at, value) => view.setInt8(at, value) },
  u1: { bytes: 1, put: (view, at, value) => view.setUint8(at, value) },
  i2: { bytes: 2, put: (view, at, value, little) => view.setInt16(at, value, little) },
  u2: { bytes: 2, put: (view, at, value, little) => view.setUint16(at, value, little) },
  i4: { bytes: 4, put: (view, at, value, little) => view.setInt32(at, value, little) },
  u4: { bytes: 4, put: (view, at, value, little) => view.setUint32(at, value, little) },
  i8: { bytes: 8, put: (view, at, value, little) => view.setBigInt64(at, BigInt(value), little) },
  u8: { bytes: 8, put: (view, at, value, little) => view.setBigUint64(at, BigInt(value), little) },
  f4: { bytes: 4, put: (view, at, value, little) => view.setFloat32(at, value, little) },
  f8: { bytes: 8, put: (view, at, value, little) => view.setFloat64(at, value, little) },
}

export interface NpyForm {
  readonly version?: 1 | 2 | 3
  readonly order?: '<' | '>'
  /** The header's text in place of the right one. */
  readonly header?: string
}

/** An NPY file by the specification (NEP 1); values in the order in which they lie in the file. */
export function npyBytes(
  kind: string,
  shape: readonly number[],
  values: readonly number[],
  { version = 1, order = '<', header }: NpyForm = {},
  fortran = false,
): Buffer {
  const type = NUMPY[kind]
  if (type === undefined) throw new Error(kind)
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const descr = `${type.bytes === 1 ? '|' : order}${kind}`
  const text = header ?? `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`
  const before = version === 1 ? 10 : 12
  const padded = `${text.padEnd(Math.ceil((before + text.length + 1) / 64) * 64 - before - 1)}\n`
  const start = Buffer.alloc(before)
  start.write('\x93NUMPY', 'latin1')
  start[6] = version
  start.writeUIntLE(padded.length, 8, before - 8)
  const data = new DataView(new ArrayBuffer(values.length * type.bytes))
  for (const [at, value] of values.entries()) type.put(data, at * type.bytes, value, order === '<')
  return Buffer.concat([start, Buffer.from(padded), Buffer.from(data.buffer)])
}
