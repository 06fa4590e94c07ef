import { z } from 'zod'
import { narrow } from '../wire/parse.js'

const role = z.enum(['feature', 'target', 'ignore']).default('feature')
const missing = z.array(z.string().max(64)).max(64).readonly().default([''])
const scale = z.enum(['standard', 'minMax', 'none']).default('none')
const impute = z.enum(['none', 'mean', 'median', 'constant']).default('none')
const instant = z.iso.datetime({ offset: true })

const numberColumn = z.strictObject({
  type: z.literal('number'),
  role,
  /** What the values are measured in, for people: `°C`. */
  unit: z.string().max(32).optional(),
  /** Smallest and largest value that a row may have, both included. */
  min: z.number().optional(),
  max: z.number().optional(),
  /** Texts that stand for a missing value, compared without the space around them. */
  missing,
  /** What a missing value becomes, in the graph; `none`: a row without the value is a bad row. */
  impute,
  /** For `impute: 'constant'`, in the column's own unit. */
  fill: z.number().optional(),
  /** In the graph: `standard` gives mean 0 and deviation 1, `minMax` 0 to 1, on the training rows. */
  scale,
})

const categoryColumn = z.strictObject({
  type: z.literal('category'),
  role,
  /** The vocabulary, in the order of its indices; left out: the values in the file, sorted. */
  values: z.array(z.string().max(256)).min(1).max(65_536).readonly().optional(),
  missing,
  /** `mostFrequent`: the commonest category of the training rows. */
  impute: z.enum(['none', 'mostFrequent', 'constant']).default('none'),
  /** For `impute: 'constant'`: one of the values. */
  fill: z.string().optional(),
  /** One number for each category, 1 for the row's own; without it the index as a number, as an embedding takes it. */
  oneHot: z.boolean().default(true),
  /** A value outside of `values`: `error` is a bad row; `other` gives it a category of its own, the last. */
  unknown: z.enum(['error', 'other']).default('error'),
})

const timeColumn = z.strictObject({
  type: z.literal('time'),
  role,
  /** A time becomes the number of `unit`s since `origin`: float32 cannot hold seconds since 1970. */
  origin: instant,
  unit: z.enum(['seconds', 'minutes', 'hours', 'days']).default('days'),
  min: instant.optional(),
  max: instant.optional(),
  missing,
  impute,
  /** For `impute: 'constant'`, in `unit`s since `origin`. */
  fill: z.number().optional(),
  scale,
})

const columnSchema = z.discriminatedUnion('type', [numberColumn, categoryColumn, timeColumn])

/**
 * What the columns of a table are. Strict: an unknown option is an error. `features` is the order of the columns in the
 * model's input, by default that of the keys; parsing writes it down, because JSON in databases keeps no order of keys.
 */
export const columnsSchema = z
  .strictObject({
    columns: z.record(z.string().min(1).max(128), columnSchema),
    features: z.array(z.string()).readonly().optional(),
    /** `error`: any bad row ends loading, with the first ones named. `drop`: bad rows are left out and counted. */
    onBadRow: z.enum(['error', 'drop']).default('error'),
  })
  .superRefine(({ columns, features }, context) => {
    const problem = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
    for (const [name, column] of Object.entries(columns))
      for (const [field, message] of columnProblems(column)) problem(['columns', name, field], message)
    if (Object.keys(columns).length === 0) problem(['columns'], 'has no column')
    const categoryTargets = namesOf(columns, 'target').filter((name) => columns[name]?.type === 'category')
    if (categoryTargets.length > 0 && namesOf(columns, 'target').length > 1)
      problem(['columns'], 'a target of classes stands alone: there is more than one target')
    // JavaScript moves keys like "7" to the front: their order is lost before it gets here.
    const numeric = Object.keys(columns).filter((name) => /^\d+$/.test(name))
    if (features === undefined && numeric.length > 0)
      problem(['features'], 'must give the order of the columns, for names that are whole numbers')
    const wanted = namesOf(columns, 'feature')
    if (features !== undefined && !sameNames(features, wanted))
      problem(['features'], `must name each column of role feature once: ${wanted.join(', ')}`)
  })
  .overwrite((parsed) => ({ ...parsed, features: parsed.features ?? namesOf(parsed.columns, 'feature') }))

/** One column, resolved: nothing optional but what has no default. */
export type Column = z.output<typeof columnSchema>
/** The user's form: what is left out comes from the defaults. */
export type ColumnsConfig = z.input<typeof columnsSchema>
/** The resolved form, plain JSON. */
export type Columns = z.output<typeof columnsSchema> & { readonly features: readonly string[] }
export type NumberColumn = z.output<typeof numberColumn>
export type CategoryColumn = z.output<typeof categoryColumn>
export type TimeColumn = z.output<typeof timeColumn>

/**
 * Fills in a column schema's defaults and the order of its features. Resolving twice changes nothing. Throws
 * `INPUT_REJECTED` naming every bad field.
 *
 * @example
 * resolveColumns({
 *   columns: {
 *     temperature: { type: 'number', unit: '°C', min: -40, max: 85, missing: ['', 'NA'], impute: 'mean', scale: 'standard' },
 *     kind: { type: 'category', values: ['pump', 'fan'], unknown: 'other' },
 *     state: { type: 'category', role: 'target' },
 *   },
 *   onBadRow: 'drop',
 * })
 */
export function resolveColumns(config: ColumnsConfig): Columns {
  return narrow(columnsSchema, config, 'the column schema') as Columns
}

/** The names of a role's columns: features in the input's order, others in the schema's. */
export function columnsOf({ columns, features }: Columns, wanted: Column['role']): readonly string[] {
  return wanted === 'feature' ? features : namesOf(columns, wanted)
}

type ColumnMap = Readonly<Record<string, Column>>

const namesOf = (columns: ColumnMap, wanted: Column['role']) =>
  Object.keys(columns).filter((name) => columns[name]?.role === wanted)

const sameNames = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && new Set(a).size === a.length && a.every((name) => b.includes(name))

function columnProblems(column: Column): [field: string, message: string][] {
  const problems: [string, string][] = []
  const constant = column.impute === 'constant'
  if (constant !== (column.fill !== undefined))
    problems.push(['fill', constant ? "is needed by impute 'constant'" : "needs impute 'constant'"])
  if (column.role === 'target' && column.impute !== 'none')
    problems.push(['impute', 'a target that is missing cannot be made up'])
  if (column.type === 'category') return [...problems, ...categoryProblems(column)]
  const [min, max] = column.type === 'time' ? [at(column.min), at(column.max)] : [column.min, column.max]
  if (min !== undefined && max !== undefined && min > max) problems.push(['max', 'is below min'])
  return problems
}

const at = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time))

function* categoryProblems({ role, values, fill, unknown, missing }: CategoryColumn): Generator<[string, string]> {
  if (role === 'target' && unknown === 'other') yield ['unknown', "a target has no class 'other': list its values"]
  if (values === undefined) return
  if (new Set(values).size < values.length) yield ['values', 'has a value twice']
  if (values.some((value) => missing.includes(value))) yield ['values', 'has a value that also stands for missing']
  if (fill !== undefined && !values.includes(fill)) yield ['fill', 'is none of the values']
}
