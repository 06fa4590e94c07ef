import type { JobSpec } from '@tideway/core'
import {
  type BlobRef,
  createProfileBuilder,
  type ProfileSchema,
  resolveLoss,
  type Session,
  suggestProfileSchema,
  toJsonBytes,
} from '@tideway/core'
import type { Artifacts } from './artifacts.js'
import { runInBatches } from './evaluate.js'
import type { Part } from './split.js'

/** A baseline has no window: a fixed instant, so that the same training gives the same manifest. */
const NO_TIME = new Date(0)

/** What devices and the baseline summarise: chosen from the model's signature and what the data is. */
export function profileSchemaFor(spec: JobSpec, session: Session, train: Part['inputs']): ProfileSchema {
  return suggestProfileSchema({
    signature: session.signature,
    task: resolveLoss(spec.loss).type === 'softmaxCrossEntropy' ? 'classification' : 'regression',
    ...(spec.image && hasChannelsLast(session, spec.image) && { image: spec.image }),
    ...(spec.classes && { classes: spec.classes }),
    ...(spec.features && { features: columnScales(spec.features, train) }),
  })
}

/** Statistics of images read [height, width, channels]; planes of several channels are profiled as other inputs are. */
function hasChannelsLast({ signature }: Session, [height, width, channels]: NonNullable<JobSpec['image']>): boolean {
  const row = signature.inputs[0]?.shape.slice(1) ?? []
  return channels === 1 || row.length !== 3 || row.join() === [height, width, channels].join()
}

/** Profiles the validation rows through the variant that devices will run, and stores the profile. */
export async function storeBaseline(
  artifacts: Artifacts,
  session: Session,
  schema: ProfileSchema,
  validation: Part,
): Promise<BlobRef> {
  const builder = createProfileBuilder(schema)
  for await (const { inputs, outputs } of runInBatches(session, validation.inputs)) builder.observe(inputs, outputs)
  return artifacts.putBlob(toJsonBytes(builder.seal(NO_TIME, NO_TIME)))
}

/** Mean and deviation of the values that are there; a column with none of them has neither. */
export function columnScales(names: readonly string[], rows: Pick<Part['inputs'], 'data'>) {
  const width = names.length
  return names.map((name, column) => {
    let count = 0
    let sum = 0
    let squares = 0
    const each = (visit: (value: number) => void) => {
      for (let i = column; i < rows.data.length; i += width) if (Number.isFinite(rows.data[i])) visit(rows.data[i]!)
    }
    each((value) => {
      count += 1
      sum += value
    })
    if (count === 0) return { name }
    const mean = sum / count
    each((value) => {
      squares += (value - mean) ** 2
    })
    return { name, mean, deviation: Math.sqrt(squares / count) }
  })
}
