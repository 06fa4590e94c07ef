import { errors } from './errors.js'

/** What a reader may take; enforced while it reads, so that a hostile file costs no more than this. */
export interface DataLimits {
  /** Bytes of the file as it lies there; in a folder of images, of each file. */
  readonly maxFileBytes: number
  /** Bytes that the loaded values may take in memory: what a small compressed file may grow to. */
  readonly maxDecodedBytes: number
  readonly maxRows: number
  /** Columns of a table, whether the schema names them or not. */
  readonly maxColumns: number
  /** Characters of one CSV row, and bytes of one page of Parquet. */
  readonly maxRecordBytes: number
  readonly maxPageBytes: number
  /** Sub-folders, or entries of an archive. */
  readonly maxEntries: number
  /** Width times height of one image, before it is resized. */
  readonly maxImagePixels: number
}

const MB = 1024 * 1024

export const defaultLimits: DataLimits = Object.freeze({
  maxFileBytes: 4096 * MB,
  maxDecodedBytes: 2048 * MB,
  maxRows: 20_000_000,
  maxColumns: 4096,
  maxRecordBytes: MB,
  maxPageBytes: 64 * MB,
  maxEntries: 10_000,
  maxImagePixels: 64 * MB,
})

/** The limits of one file; `check` throws `DATA_LIMIT_EXCEEDED`. */
export class Limiter {
  private readonly limits: DataLimits

  constructor(
    readonly file: string,
    limits: Partial<DataLimits> = {},
  ) {
    this.limits = { ...defaultLimits, ...limits }
  }

  get(limit: keyof DataLimits): number {
    return this.limits[limit]
  }

  check(limit: keyof DataLimits, value: number): void {
    const allowed = this.limits[limit]
    // A value that is not a number, as a hostile header may claim, is over any limit.
    if (!(value <= allowed)) throw errors.DATA_LIMIT_EXCEEDED({ file: this.file, limit, value, allowed })
  }
}
