import type { AsyncBuffer, ColumnChunk } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import type { Limiter } from './limits.js'
import { runsFit } from './parquet-runs.js'

/**
 * Walks the headers of a row group's pages before anything is decoded: a page may claim any number of values and bytes,
 * and the decoder makes room for what it claims. https://parquet.apache.org/docs/file-format/data-pages/
 */
export async function checkPages(
  file: AsyncBuffer,
  chunks: readonly ColumnChunk[],
  optional: (column: string) => boolean,
  rows: number,
  limiter: Limiter,
  problem: (issue: string) => Error,
): Promise<void> {
  let decoded = 0
  for (const { meta_data: meta } of chunks) {
    if (meta === undefined) throw problem('a column has no description of its pages')
    const name = meta.path_in_schema.join('.')
    const first = Number(meta.dictionary_page_offset ?? meta.data_page_offset)
    const start = Math.min(first, Number(meta.data_page_offset))
    const length = Number(meta.total_compressed_size)
    if (!(start >= 4 && length >= 0 && start + length <= file.byteLength))
      throw problem(`column ${name}: its pages lie outside of the file`)
    limiter.check('maxDecodedBytes', length)
    const bytes = await file.slice(start, start + length)
    const reader = { view: new DataView(bytes), offset: 0 }
    let values = 0
    while (reader.offset < length - 1 && values < rows) {
      const header = parquetHeader(reader)
      const [packed, plain] = [Number(header.compressed_page_size), Number(header.uncompressed_page_size)]
      const data = header.data_page_header ?? header.data_page_header_v2
      const count = Number((data ?? header.dictionary_page_header)?.num_values ?? 0)
      if (!(packed >= 0 && plain >= 0 && count >= 0)) throw problem(`column ${name}: a page of negative size`)
      if (reader.offset + packed > length) throw problem(`column ${name}: a page is longer than its column`)
      limiter.check('maxPageBytes', plain)
      decoded += plain
      limiter.check('maxDecodedBytes', decoded)
      if (data !== undefined) values += count
      // A dictionary cannot hold more values than bits.
      else if (count > plain * 8) throw problem(`column ${name}: a dictionary of more values than it has room for`)
      if (values > rows) throw problem(`column ${name}: more values than the row group's ${rows} rows`)
      const page = new Uint8Array(bytes, reader.offset, packed)
      if (data !== undefined && !runsFit(page, header, meta, optional(name)))
        throw problem(`column ${name}: a run of more values than its page has`)
      reader.offset += packed
    }
  }
}
