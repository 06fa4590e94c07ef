import { defineErrors, entry } from '@tideway/core'
import type { BadCount } from './bad-rows.js'

/** What every reader says of a file that it refuses: never a value of it. */
interface FileProblem extends Record<string, unknown> {
  readonly file: string
  /** The first problems, by place and kind. */
  readonly issues: readonly string[]
  /** All bad values, by column and kind, where rows were read. */
  readonly bad?: readonly BadCount[]
}

const said = (format: string) => (d: FileProblem) => {
  const all = (d.bad ?? []).reduce((sum, { count }) => sum + count, 0)
  const more = all > d.issues.length ? `; and ${all - d.issues.length} more` : ''
  return `${d.file} is not usable as ${format}: ${d.issues.join('; ')}${more}`
}

const SCHEMA = "Correct the file or the column schema; with onBadRow: 'drop' bad rows are left out and counted."

/** Errors of the readers of files: one code for each format, and one for limits. */
export const { entries, errors } = defineErrors({
  CSV_INVALID: entry<FileProblem>(400, said('CSV'), SCHEMA),
  PARQUET_INVALID: entry<FileProblem>(400, said('Parquet'), SCHEMA),
  IDX_INVALID: entry<FileProblem>(400, said('IDX'), 'Download or write it again; .gz is read as it is.'),
  NPY_INVALID: entry<FileProblem>(
    400,
    said('NPY or NPZ'),
    'Save arrays of numbers with numpy.save or numpy.savez; objects are refused, because they are pickled.',
  ),
  IMAGES_INVALID: entry<FileProblem>(
    400,
    said('a folder of images'),
    "It needs one sub-folder of PNG or JPEG files for each class; with onBadImage: 'drop' bad images are left out.",
  ),
  DATA_LIMIT_EXCEEDED: entry<{ file: string; limit: string; value: number; allowed: number }>(
    413,
    (d) => `${d.file} needs ${d.limit} of ${d.value}; the limit is ${d.allowed}`,
    'Load less of it, or raise the limit by its name in `limits`.',
  ),
})
