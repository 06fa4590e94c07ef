import { writeFile } from 'node:fs/promises'
import type { Client } from '@tideway/client'
import {
  checkDataset,
  encodeTensors,
  type JobRecord,
  type JobSpec,
  type PipelineConfig,
  readManifest,
  resolvePipeline,
} from '@tideway/core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { loadPipeline } from '../config/load.js'
import { modelBytes } from '../config/model-file.js'
import { cloudErrors } from '../errors.js'
import type { Evaluation } from '../pipeline/evaluate.js'
import type { PipelineResult } from '../pipeline/run.js'
import { kilobytes, percent, short, table } from '../view/output.js'
import { print } from '../view/print.js'
import { createJobView, PROGRESS_FORMS, type ProgressForm } from '../view/progress.js'
import { steps } from '../view/steps.js'
import { type ClientOptions, connect, withClient } from './context.js'

interface TrainOptions extends ClientOptions {
  readonly data?: string
  readonly seed?: number
  readonly epochs?: number
  readonly progress?: ProgressForm
  readonly curves?: string
  readonly report?: readonly string[]
}

export function addTrain(command: Command): void {
  withClient(command)
    .option('--data <path>', "handed to the pipeline's data function")
    .option('--seed <n>', 'seed of initialisation, split and shuffling', parseWhole)
    .option('--epochs <n>', 'epochs to train', parseWhole)
    .option('--curves <file>', CURVES_HELP)
    .option('--report <file...>', REPORT_HELP)
    .addOption(
      new Option(
        '--progress <form>',
        'how progress is shown on standard error (default: bar on a terminal, else lines)',
      ).choices(PROGRESS_FORMS),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ tideway train examples/digits/src/pipeline.ts
  $ tideway train examples/electricity/src/pipeline.ts --data elec.csv --json
  $ tideway train examples/digits/src/pipeline.ts --progress json

Each line of \`--progress json\` is {epoch, epochs, step, steps, loss, metrics, samplesPerSecond, secondsLeft}; metrics
are those of the last epoch that ended.`,
    )
    .action(async (file: string, options: TrainOptions) => {
      const client = await connect(options)
      const pipeline = await loadPipeline(file)
      const job = await trainPipeline(client, pipeline, {
        path: options.data,
        seed: options.seed,
        epochs: options.epochs,
        progress: options.progress,
      })
      await keepCurves(client, job.result, options.curves)
      await keepReport(client, job.result, options.report)
      // A trainer node of an earlier version says no notes.
      const notes: readonly string[] = (job.result as Partial<PipelineResult>).notes ?? []
      print(options.json, { job: job.id, model: job.model, ...job.result }, () =>
        [...notes, resultTable(job)].join('\n'),
      )
    })
}

export const CURVES_HELP = 'write the learning curves there, an SVG'

/** Writes the learning curves of a job to a file, where one was asked for. */
export async function keepCurves(client: Client, { curves }: PipelineResult, file: string | undefined): Promise<void> {
  if (file !== undefined) await writeFile(file, await client.getBlob(curves))
}

export const REPORT_HELP = 'write what quantizing cost there, .html, .json or both'

/**
 * Writes the report of a job to files, where some were asked for. What cannot be as asked for is said on standard error: a
 * float model has none, and a file that ends otherwise holds the page.
 */
export async function keepReport(
  client: Client,
  { report }: PipelineResult,
  files: readonly string[] = [],
): Promise<void> {
  if (report === undefined) {
    if (files.length > 0) steps.say(`--report ${files.join(' ')}: not written, the job has no report of quantizing`)
    return
  }
  for (const file of files) {
    if (!/\.(html|json)$/i.test(file)) steps.say(`--report ${file}: neither .html nor .json, written as HTML`)
    await writeFile(file, await client.getBlob(file.toLowerCase().endsWith('.json') ? report.json : report.html))
  }
}

export interface TrainOrder {
  readonly path?: string
  readonly seed?: number
  readonly epochs?: number
  readonly from?: JobSpec['from']
  readonly splitSeed?: number
  /** Left out: a bar on a terminal, else lines. */
  readonly progress?: ProgressForm
}

/** Loads and uploads the data, submits the job and shows it until it ends. Throws `DATASET_INVALID`, `JOB_FAILED`. */
export async function trainPipeline(
  client: Client,
  pipeline: PipelineConfig,
  order: TrainOrder,
): Promise<JobRecord & { result: PipelineResult }> {
  const dataset = await pipeline.data({ path: order.path })
  checkDataset(dataset, pipeline)
  const { sha256, size } = await client.putBlob(
    encodeTensors({ data: { inputs: dataset.inputs, targets: dataset.targets } }),
  )
  const base = pipeline.base && (await client.putBlob(await modelBytes(pipeline.base.model)))
  const teacher = pipeline.distillation && (await client.putBlob(await modelBytes(pipeline.distillation.model)))
  const spec = resolvePipeline(pipeline, {
    ...order,
    dataset,
    data: { sha256, size },
    ...(base && { base: { sha256: base.sha256, size: base.size } }),
    ...(teacher && { teacher: { sha256: teacher.sha256, size: teacher.size } }),
  })
  const submitted = await client.submitJob(spec)
  const view = createJobView(order.progress)
  let job = submitted
  try {
    for await (job of client.watchJob(submitted.id)) view.show(job)
  } finally {
    view.end()
  }
  if (job.status !== 'finished') {
    const { code, message } = job.error ?? { code: 'INTERNAL', message: 'it ended without a reason' }
    throw cloudErrors.JOB_FAILED({ job: job.id, code, reason: message })
  }
  return job as JobRecord & { result: PipelineResult }
}

/** The newest version's weights to start from, with the seeds that belong to it; undefined for a model without one. */
export async function latestParent(
  client: Client,
  model: string,
): Promise<(Required<Pick<TrainOrder, 'from' | 'splitSeed'>> & { seed: number; version: number }) | undefined> {
  const known = (await client.models()).some(({ name }) => name === model)
  if (!known) return undefined
  const { manifestDigest, version, runId } = (await client.model(model)).versions.at(-1)!
  const result = runId === undefined ? undefined : ((await client.job(runId)).result as PipelineResult | undefined)
  if (!result) return undefined
  const { lineage } = readManifest(await client.getChunk(manifestDigest))
  const splitSeed = typeof lineage.splitSeed === 'number' ? lineage.splitSeed : lineage.seed
  return { from: { manifestDigest, checkpoint: result.checkpoint }, splitSeed, seed: lineage.seed, version }
}

export function resultTable({ result }: { result: PipelineResult }): string {
  const { version, created, evaluation, bytes, variantDigests } = result
  const measure = ({ accuracy, meanSquaredError = 0 }: Evaluation) =>
    accuracy === undefined ? meanSquaredError.toPrecision(4) : percent(accuracy)
  // The float model in another format was held against the same one in ONNX.
  const rows = Object.keys(bytes).map((name) => [
    name,
    kilobytes(bytes[name] ?? 0),
    measure(evaluation[name] ?? evaluation['fp32'] ?? {}),
    short(variantDigests[name]),
  ])
  const what = created ? 'registered' : 'the same bytes as before:'
  return `${what} ${version.model}:${version.version} (${short(version.manifestDigest)})\n${table(
    ['variant', 'size', 'accuracy or error', 'sha256'],
    rows,
  )}`
}

export function parseWhole(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number, 0 or more')
  return value
}
