import { expect, it } from 'vitest'
import { runsFit } from './parquet-runs.js'

type Arguments = Parameters<typeof runsFit>

/** A page of version 2 with three values: the runs of its definition levels, then plain values. */
const page = (levels: readonly number[]): Arguments => {
  const header = {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: levels.length + 24,
    compressed_page_size: levels.length + 24,
    data_page_header_v2: {
      num_values: 3,
      num_nulls: 0,
      num_rows: 3,
      encoding: 'PLAIN',
      definition_levels_byte_length: levels.length,
      repetition_levels_byte_length: 0,
      is_compressed: false,
    },
  }
  const bytes = Uint8Array.from([...levels, ...new Uint8Array(24)])
  return [bytes, header, { codec: 'UNCOMPRESSED', type: 'DOUBLE' }, true] as unknown as Arguments
}

it('takes runs that a page of three values has room for, repeated or packed', () => {
  expect(runsFit(...page([3 << 1, 1]))).toBe(true)
  expect(runsFit(...page([(1 << 1) | 1, 0b111]))).toBe(true)
})

it('refuses a run that claims 2^31 values, repeated or packed', () => {
  expect(runsFit(...page([0xfe, 0xff, 0xff, 0xff, 0x0f, 1]))).toBe(false)
  expect(runsFit(...page([0xff, 0xff, 0xff, 0xff, 0x0f, 1]))).toBe(false)
})
