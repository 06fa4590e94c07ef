import type { Client } from '@tideway/client'
import { type Columns, codeOf, columnsSchema, type Manifest, networkSchema } from '@tideway/core'
import { fixedRows } from '../quantize/batches.js'
import { type Engine, inRuns } from './engine.js'

/** Requests in flight: what hides the way there and back. */
const AT_ONCE = 4

/**
 * A version in a running cloud: the one that the name means now, whatever its alias names later. Throws `MODEL_NOT_FOUND`,
 * `VERSION_NOT_FOUND`, and what the client throws.
 */
export async function remoteEngine(client: Client, model: string, wanted: string): Promise<Engine> {
  const { version: record, manifest } = await client.version(model, wanted)
  const { version, manifestDigest, runId } = record
  const { inputs: takes, outputs: gives } = await client.metadata(model, version)
  const served = { inputs: takes, outputs: gives }
  const fixed = fixedRows(served)
  const run = async (inputs: Parameters<Engine['run']>[0]) => {
    for await (const { outputs } of client.predict(model, [inputs], { version })) return outputs
    return {}
  }
  return {
    signature: served,
    digest: manifestDigest,
    classes: classesOf(manifest),
    features: featuresOf(manifest),
    schema: runId === undefined ? undefined : await schemaOf(client, runId),
    atOnce: AT_ONCE,
    run: (inputs) => inRuns(inputs, fixed ?? Number.POSITIVE_INFINITY, fixed !== undefined, run),
    dispose: async () => undefined,
  }
}

function classesOf({ classes, profile }: Manifest): readonly string[] | undefined {
  if (classes) return classes
  return profile?.statistics.some(({ kind }) => kind === 'class') ? [] : undefined
}

/** The columns of a flat input in their order, where the manifest names them all: `feature.price` is the column `price`. */
function featuresOf({ profile }: Manifest): readonly string[] | undefined {
  const named = (profile?.statistics ?? []).flatMap((statistic) => (statistic.kind === 'feature' ? [statistic] : []))
  const names: string[] = []
  for (const { name, index } of named) names[index] = name.slice(name.indexOf('.') + 1)
  return named.length > 0 && names.length === named.length ? names : undefined
}

/** What the columns are, as the network was told: categories and times go into it as its own first layer expects them. */
async function schemaOf(client: Client, runId: string): Promise<Columns | undefined> {
  try {
    const { spec } = await client.job(runId)
    const { data } = networkSchema.safeParse(spec.network)
    const layer = data?.layers.find(({ type }) => type === 'columns')
    return layer?.type === 'columns' ? (columnsSchema.parse(layer.columns) as Columns) : undefined
  } catch (error) {
    // A version that was registered by hand has a run that is no job: the names of its columns are left.
    if (codeOf(error) !== 'JOB_NOT_FOUND') throw error
    return undefined
  }
}
