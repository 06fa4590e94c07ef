import { arrayClasses, type DataType, elementCount, type Tensor, type Tensors } from '../contracts/tensor.js'
import { errors } from '../errors.js'

/** Header bytes; a known-answer blob has a handful of tensors. */
const MAX_HEADER_BYTES = 1024 * 1024
const LENGTH_BYTES = 8

/** Names of element types in the safetensors format; strings are our own addition (a JSON list of them). */
const CODES: Readonly<Record<DataType, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int8: 'I8',
  uint8: 'U8',
  int16: 'I16',
  uint16: 'U16',
  int32: 'I32',
  uint32: 'U32',
  int64: 'I64',
  uint64: 'U64',
  bool: 'BOOL',
  string: 'STRINGS',
}
const TYPES = new Map((Object.keys(CODES) as DataType[]).map((dtype) => [CODES[dtype], dtype]))

/**
 * Groups of named tensors as one blob, for known answers `{ inputs, outputs }`. The format is safetensors
 * (https://github.com/huggingface/safetensors#format): 8 bytes of little-endian header length, a JSON header
 * `{ "<group>/<name>": { dtype, shape, data_offsets: [begin, end] } }` padded with spaces to 8 bytes, then the
 * little-endian values without gaps. Only string tensors go beyond it. Equal groups give equal bytes.
 *
 * @example
 * const bytes = encodeTensors({ inputs: { x }, outputs: { y } })
 */
export function encodeTensors(groups: Readonly<Record<string, Tensors>>): Uint8Array<ArrayBuffer> {
  const header: [string, object][] = []
  const parts: Uint8Array[] = []
  let end = 0
  for (const [group, tensors] of byName(groups)) {
    for (const [name, tensor] of byName(tensors)) {
      const bytes = bytesOf(tensor)
      header.push([
        `${group}/${name}`,
        { dtype: CODES[tensor.dtype], shape: tensor.shape, data_offsets: [end, end + bytes.byteLength] },
      ])
      parts.push(bytes)
      end += bytes.byteLength
    }
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const start = LENGTH_BYTES + Math.ceil(text.byteLength / 8) * 8
  const blob = new Uint8Array(start + end).fill(0x20, LENGTH_BYTES + text.byteLength, start)
  new DataView(blob.buffer).setBigUint64(0, BigInt(start - LENGTH_BYTES), true)
  blob.set(text, LENGTH_BYTES)
  let at = start
  for (const part of parts) {
    blob.set(part, at)
    at += part.byteLength
  }
  return blob
}

/**
 * Reads what `encodeTensors` wrote, from anyone: throws `TENSORS_INVALID` naming every bad entry. The tensors own
 * their memory.
 *
 * @example
 * const { inputs = {}, outputs = {} } = decodeTensors(bytes)
 */
export function decodeTensors(bytes: Uint8Array): Record<string, Tensors> {
  const { header, data } = split(bytes)
  const issues: string[] = []
  const groups = new Map<string, [string, Tensor][]>()
  const spans: [number, number][] = []
  for (const [path, entry] of Object.entries(header)) {
    if (path === '__metadata__') continue
    const slash = path.indexOf('/')
    const tensor = slash > 0 ? tensorOf(entry, data, spans) : 'has no group: its name needs a "/"'
    if (typeof tensor === 'string') issues.push(`${path.slice(0, 80)}: ${tensor}`)
    else {
      const group = groups.get(path.slice(0, slash)) ?? []
      group.push([path.slice(slash + 1), tensor])
      groups.set(path.slice(0, slash), group)
    }
  }
  if (issues.length === 0 && !covers(spans, data.byteLength)) {
    issues.push('the entries overlap, or leave bytes that belong to none')
  }
  if (issues.length > 0) throw errors.TENSORS_INVALID({ issues: issues.slice(0, 20) })
  return Object.fromEntries([...groups].map(([name, tensors]) => [name, Object.fromEntries(tensors)]))
}

function split(bytes: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = bytes.byteLength < LENGTH_BYTES ? -1 : Number(view.getBigUint64(0, true))
  const end = LENGTH_BYTES + length
  if (length < 2 || length > MAX_HEADER_BYTES || end > bytes.byteLength) {
    throw errors.TENSORS_INVALID({ issues: [`the header would have ${length} bytes of ${bytes.byteLength}`] })
  }
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, end)))
  } catch (cause) {
    throw errors.TENSORS_INVALID({ issues: ['the header is not JSON in UTF-8'] }, cause)
  }
  if (!isRecord(header)) throw errors.TENSORS_INVALID({ issues: ['the header is not an object'] })
  return { header, data: bytes.subarray(end) }
}

/** The tensor of one header entry, or what is wrong with it. */
function tensorOf(entry: unknown, data: Uint8Array, spans: [number, number][]): Tensor | string {
  if (!isRecord(entry)) return 'is not an object'
  const { dtype: code, shape, data_offsets: offsets } = entry
  const dtype = TYPES.get(String(code))
  if (dtype === undefined) return `type ${String(code).slice(0, 20)} is not known`
  if (!isSizes(shape) || shape.length > 16) return 'shape is not a list of whole numbers from 0'
  const [begin, end] = isSizes(offsets) && offsets.length === 2 ? offsets : []
  if (begin === undefined || end === undefined || begin > end || end > data.byteLength) {
    return `data_offsets are not within the ${data.byteLength} bytes of data`
  }
  spans.push([begin, end])
  const bytes = dtype === 'string' ? 0 : arrayClasses[dtype].BYTES_PER_ELEMENT
  const count = elementCount(shape)
  if (bytes > 0 && end - begin !== count * bytes) return `has ${end - begin} bytes, its shape needs ${count * bytes}`
  const own = new Uint8Array(data.subarray(begin, end))
  const values = dtype === 'string' ? stringsOf(own) : new arrayClasses[dtype](own.buffer)
  if (values.length !== count) return `has ${values.length} values, its shape needs ${count}`
  // The table pairs each type with its array; the compiler cannot follow one key through both.
  return { dtype, shape, data: values } as Tensor
}

function bytesOf({ dtype, shape, data }: Tensor): Uint8Array {
  if (data.length !== elementCount(shape)) {
    throw errors.TENSORS_INVALID({ issues: [`${dtype} of shape [${shape.join(', ')}] has ${data.length} values`] })
  }
  if (dtype === 'string') return new TextEncoder().encode(JSON.stringify(data))
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** A list of strings, or an empty one that no shape but an empty fits. */
function stringsOf(bytes: Uint8Array): string[] {
  try {
    const list: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : []
  } catch {
    return []
  }
}

function covers(spans: [number, number][], length: number): boolean {
  let at = 0
  for (const [begin, end] of spans.sort(([a, b], [c, d]) => a - c || b - d)) {
    if (begin !== at) return false
    at = end
  }
  return at === length
}

function byName<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}
