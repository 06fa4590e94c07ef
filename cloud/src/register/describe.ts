import { createProfileBuilder, type ProfileSchema, suggestProfileSchema, type Tensor, toJsonBytes } from '@tideway/core'
import type { ImageShape } from '../finetune/rows.js'
import { columnScales } from '../pipeline/baseline.js'
import { answersOf, pickRows, rowCount, rowsHeld } from '../quantize/batches.js'
import { createJudge, isHardlyChance, type Measure } from '../quantize/judge.js'
import type { Rows } from '../quantize/rows.js'
import type { OpenedFile } from './files.js'
import { ofAnyRows } from './rows.js'

export interface Describing {
  readonly opened: readonly OpenedFile[]
  readonly float: OpenedFile
  readonly rows: Rows
  /** Whether there is one answer to each row. */
  readonly isRowwise: boolean
  readonly classes: readonly string[] | undefined
  readonly image: ImageShape | undefined
}

/** What is known of a model from rows. */
export interface Described {
  readonly classifies: boolean
  readonly metrics: Readonly<Record<string, number>>
  readonly profile?: ProfileSchema
  /** The profile of the rows through the first variant, as JSON. */
  readonly baseline?: Uint8Array<ArrayBuffer>
  readonly notes: readonly string[]
}

const METRIC: Readonly<Record<Measure, string>> = {
  classes: 'accuracy',
  values: 'explained',
  agreement: 'agreement',
  likeness: 'likeness',
}
const NO_TIME = new Date(0)
const BATCH_ROWS = 256

/** Scores of each file, and what devices compare with. Throws `DATA_INVALID` where labels do not fit the model. */
export async function describe({ opened, float, rows, isRowwise, classes, image }: Describing): Promise<Described> {
  if (!isRowwise)
    return {
      classifies: false,
      metrics: {},
      notes: ['not every output has one answer to each row: there are no scores, and no baseline for drift'],
    }
  const notes: string[] = []
  const count = Math.min(rowCount(rows.inputs), await rowsHeld(float.session, rows.inputs))
  if (count < rowCount(rows.inputs)) notes.push(`scores are of the first ${count} rows: the answers to more do not fit`)
  const places = Array.from({ length: count }, (_, at) => at)
  const inputs = pickRows(rows.inputs, places)
  const targets = rows.targets && (pickRows({ targets: rows.targets }, places)['targets'] as Tensor)
  const judge = createJudge(await answersOf(float.session, inputs), targets)
  const isLabelled = judge.measure === 'classes' || judge.measure === 'values'
  const metrics: Record<string, number> = {}
  for (const one of opened) {
    // Of the model itself nothing is said by how well it agrees with itself.
    if (!isLabelled && one === float) continue
    const { score } = one === float ? judge.float : judge.judge(await answersOf(one.session, inputs))
    const name = `${METRIC[judge.measure]}.${one.precision}`
    // As where an output is the same for all rows, of which nothing can be explained.
    if (Number.isFinite(score)) metrics[name] = score
    else notes.push(`${name} is left out: it is ${score}`)
  }
  if (isHardlyChance(judge))
    notes.push(
      `hardly more than chance is right, ${(100 * judge.float.score).toFixed(1)}%: are the classes, and the columns, in the model's order?`,
    )
  const classifies = classes !== undefined || judge.measure === 'classes' || judge.measure === 'agreement'
  const profile = profileOf({ rows, classes, image, float }, classifies)
  return {
    classifies,
    metrics,
    profile,
    baseline: await baselineOf(opened[0] as OpenedFile, rows, profile),
    notes: [...notes, ...(judge.notes ?? [])],
  }
}

function profileOf(
  { rows, classes, image, float }: Pick<Describing, 'rows' | 'classes' | 'image' | 'float'>,
  classifies: boolean,
): ProfileSchema {
  const { signature } = float.session
  const [input] = signature.inputs
  const data = rows.inputs[input?.name ?? '']?.data
  const features = rows.features && data instanceof Float32Array ? columnScales(rows.features, { data }) : undefined
  return suggestProfileSchema({
    signature,
    task: classifies ? 'classification' : 'regression',
    ...(classes && { classes }),
    ...(features && { features }),
    ...(image && input?.shape.slice(1).join() === image.join() && { image }),
  })
}

async function baselineOf(preferred: OpenedFile, { inputs }: Rows, schema: ProfileSchema) {
  const builder = createProfileBuilder(schema)
  const session = ofAnyRows(preferred.session)
  for (let from = 0; from < rowCount(inputs); from += BATCH_ROWS) {
    const places = Array.from({ length: Math.min(BATCH_ROWS, rowCount(inputs) - from) }, (_, at) => from + at)
    const batch = pickRows(inputs, places)
    builder.observe(batch, await session.run(batch))
  }
  return toJsonBytes(builder.seal(NO_TIME, NO_TIME))
}
