import type { ColumnsConfig, Dataset } from '@tideway/core'
import { dataFilesErrors, readCsv, toDataset } from '@tideway/data-files'

/** Columns of the data set; `class` is 1 when the price went up against the mean of the last day. */
const schema: ColumnsConfig = {
  columns: {
    period: { type: 'number' },
    nswprice: { type: 'number' },
    nswdemand: { type: 'number' },
    vicprice: { type: 'number' },
    vicdemand: { type: 'number' },
    transfer: { type: 'number' },
    class: { type: 'category', values: ['0', '1'], role: 'target' },
  },
}

/**
 * Reads a CSV with the columns of the electricity market data, in time order. Rows are read as they stream in. Throws
 * `CSV_INVALID` naming missing columns, or the first bad rows by line, column and kind of value.
 */
export async function loadElectricity({ path }: { path?: string }): Promise<Dataset> {
  if (path === undefined)
    throw dataFilesErrors.CSV_INVALID({ file: '--data', issues: ['no file given: use --data elec.csv'] })
  return { ...toDataset(await readCsv(path, { schema })), classes: ['down', 'up'] }
}
