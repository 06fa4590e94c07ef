/** Steps that are one run of the training graph: `steps` batches of `rows`, from place `begin` of the epoch's order on. */
export interface Part {
  readonly rows: number
  readonly steps: number
  readonly begin: number
}

/** An epoch of `total` rows as runs: several steps each, then single ones, then what is left of the rows. */
export function plan(total: number, batchSize: number, stepsARun: number): Part[] {
  const parts: Part[] = []
  let begin = 0
  for (const steps of stepsARun === 1 ? [1] : [stepsARun, 1])
    for (; begin + steps * batchSize <= total; begin += steps * batchSize) parts.push({ rows: batchSize, steps, begin })
  if (begin < total) parts.push({ rows: total - begin, steps: 1, begin })
  return parts
}
