import type { ColumnMetaData } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { compressors } from 'hyparquet-compressors'

type PageHeader = ReturnType<typeof parquetHeader>

/** Values that a bit-packed run may have beyond the page's: writers fill up their last group. */
const PADDING = 512

/**
 * Whether the runs of a data page keep to the page's count of values. A run of two bytes may claim 2^31 values, which
 * the decoder would write. https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */
export function runsFit(page: Uint8Array, header: PageHeader, meta: ColumnMetaData, optional: boolean): boolean {
  const [v1, v2] = [header.data_page_header, header.data_page_header_v2]
  const count = v1?.num_values ?? v2?.num_values ?? 0
  const codec = v2?.is_compressed === false ? 'UNCOMPRESSED' : meta.codec
  const unpack = (bytes: Uint8Array, size: number) =>
    (codec === 'UNCOMPRESSED' ? bytes : compressors[codec]?.(bytes, size)) ?? bytes
  if (v2 !== undefined) {
    const [repeats, levels] = [v2.repetition_levels_byte_length, v2.definition_levels_byte_length]
    if (!(repeats >= 0 && levels >= 0 && repeats + levels <= page.length)) return false
    if (!(v2.num_nulls >= 0 && v2.num_nulls <= count)) return false
    if (optional && !fits(page, repeats, repeats + levels, 1, count)) return false
    const values = page.subarray(repeats + levels)
    const size = Number(header.uncompressed_page_size) - repeats - levels
    return size >= 0 && (values.length === 0 || valuesFit(unpack(values, size), 0, v2.encoding, meta.type, count))
  }
  if (v1 === undefined) return true
  const plain = unpack(page, Number(header.uncompressed_page_size))
  if (!optional) return valuesFit(plain, 0, v1.encoding, meta.type, count)
  if (plain.length < 4) return false
  const end = 4 + new DataView(plain.buffer, plain.byteOffset).getUint32(0, true)
  return end <= plain.length && fits(plain, 4, end, 1, count) && valuesFit(plain, end, v1.encoding, meta.type, count)
}

function valuesFit(bytes: Uint8Array, at: number, encoding: string, type: string, count: number): boolean {
  if (encoding === 'RLE') return fits(bytes, at + 4, bytes.length, 1, count)
  if (!encoding.endsWith('_DICTIONARY') || at >= bytes.length) return true
  return type === 'BOOLEAN' || fits(bytes, at + 1, bytes.length, bytes[at] ?? 0, count)
}

/** Walks the runs of the hybrid of run lengths and bit packing. */
function fits(bytes: Uint8Array, start: number, end: number, width: number, count: number): boolean {
  if (width > 32) return false
  let at = start
  for (let seen = 0; seen < count && at < end; ) {
    let [header, scale] = [0, 1]
    let byte: number
    do {
      byte = bytes[at++] ?? 0
      header += (byte & 127) * scale
      scale *= 128
    } while (byte > 127 && at < end && scale < 2 ** 42)
    const packed = header % 2 === 1
    const values = packed ? Math.floor(header / 2) * 8 : header / 2
    if (values > count + PADDING) return false
    seen += values
    at += packed ? (values / 8) * width : Math.ceil(width / 8)
  }
  return true
}
