import { z } from 'zod'

/**
 * Sketches are accurate relative to a value's magnitude, so a column that varies little around a large number (a year,
 * a temperature in kelvin) is sketched as its distance from `center`; distances below `floor` count as zero.
 */
const scaled = { center: z.number().optional(), floor: z.number().nonnegative().optional() }

/** Profiles are records by these names, so names that every object has are refused. */
const name = z
  .string()
  .min(1)
  .max(127)
  .refine((text) => !(text in {}), 'must not be a name that every object has')

/** How one statistic is taken from a row. Sketched values are numbers; counted ones are labels. */
export const statisticSchema = z.discriminatedUnion('kind', [
  /** One column of a flat input. */
  z.looseObject({
    kind: z.literal('feature'),
    name,
    input: z.string(),
    index: z.int().nonnegative(),
    ...scaled,
  }),
  /**
   * A statistic of an image input of `shape` [height, width, channels]: channels last and averaged, values 0 to 1 (uint8
   * is divided by 255). `sharpness` is the mean |Laplacian|; `dark` and `bright` are shares of pixels below 0.1 and above
   * 0.9; the centroid of brightness is measured from the middle, -0.5 to 0.5.
   */
  z.looseObject({
    kind: z.literal('image'),
    name,
    input: z.string(),
    shape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
    of: z.enum(['mean', 'deviation', 'sharpness', 'dark', 'bright', 'centroidX', 'centroidY']),
  }),
  /** A seeded random projection of a flat input (rows of +-1/sqrt(n)). */
  z.looseObject({ kind: z.literal('projection'), name, input: z.string(), seed: z.int() }),
  /** The largest value of a probability output; of a single probability p, the larger of p and 1 - p. */
  z.looseObject({ kind: z.literal('confidence'), name, output: z.string() }),
  /**
   * The index of the largest value of an output, counted (modulo 1,024). An output with one value a row is its own label
   * when it is a whole number, and its rounded probability when it is a float.
   */
  z.looseObject({ kind: z.literal('class'), name, output: z.string() }),
  /** A scalar output of a regressor. */
  z.looseObject({
    kind: z.literal('value'),
    name,
    output: z.string(),
    index: z.int().nonnegative(),
    ...scaled,
  }),
])
export type Statistic = z.infer<typeof statisticSchema>

/** What devices and the baseline both summarise; one mapping for all sketches so that they can be compared. */
export const profileSchemaSchema = z.looseObject({
  v: z.literal(1),
  /** Relative accuracy of the quantile sketches (DDSketch alpha). */
  relativeAccuracy: z.number().min(0.001).max(0.1),
  statistics: z
    .array(statisticSchema)
    .min(1)
    .max(256)
    .refine((list) => new Set(list.map((item) => item.name)).size === list.length, 'names must be unique'),
})
export type ProfileSchema = z.infer<typeof profileSchemaSchema>

/** A sealed, mergeable summary of a window of inferences; the body of a `profile` report and the baseline. */
export const profileBodySchema = z.looseObject({
  v: z.literal(1),
  /** sha256 of the canonical JSON of the ProfileSchema it was made with. */
  schemaDigest: z.string(),
  rows: z.int().nonnegative(),
  errors: z.int().nonnegative(),
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  /** By statistic name: base64 of the DDSketch's bins (codec.ts). */
  sketches: z.record(z.string(), z.string()),
  /** By statistic name: label to count. */
  counts: z.record(z.string(), z.record(z.string(), z.int().nonnegative())),
  /** By statistic name: values that were NaN or infinite. */
  missing: z.record(z.string(), z.int().nonnegative()),
  /** base64 DDSketch of inference latencies in milliseconds; absent in a baseline. */
  latencyMs: z.string().optional(),
})
export type Profile = z.infer<typeof profileBodySchema>
