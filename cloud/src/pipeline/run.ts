import {
  canonicalJson,
  decodeTensors,
  HOST_VERSION,
  type JobSpec,
  type Manifest,
  type QuantizedModel,
  type QuantizeOptions,
  type Quantizer,
  type Runtime,
  resolveLoss,
  type Session,
  sha256Hex,
  type Trainer,
  type TrainProgress,
  type Variant,
  type VersionRecord,
  writeManifest,
} from '@tideway/core'
import { readModel, signatureOf, tensorRanges } from '@tideway/onnx'
import { cloudErrors } from '../errors.js'
import type { Artifacts } from './artifacts.js'
import { profileSchemaFor, storeBaseline } from './baseline.js'
import { learningCurves } from './curves.js'
import type { OtherEngine } from './engines.js'
import { type Evaluation, evaluate } from './evaluate.js'
import { checkGates } from './gates.js'
import { storeKnownAnswers, testedRows } from './known-answers.js'
import { type StoredReport, storeReport } from './report.js'
import { type Part, type Parts, splitDataset } from './split.js'
import { graphModel, type LoadTfjs, openTfjs, storeTfjsVariant, TFJS_VARIANT } from './tfjs.js'

export type Stage = 'loading' | 'training' | 'quantizing' | 'evaluating' | 'publishing'

/** What a pipeline works with. */
export interface Workshop {
  readonly trainer: Trainer
  readonly quantizer: Quantizer
  readonly runtime: Runtime
  /** Engines that devices may have, to say how closely their answers must agree. */
  readonly otherEngines?: readonly OtherEngine[]
  /** For variants in the format `tfjs`; the package `@tideway/runtime-tfjs` when left out. */
  readonly loadTfjs?: LoadTfjs
  readonly artifacts: Artifacts
  readonly onStage: (stage: Stage) => void
  readonly onProgress: (progress: TrainProgress) => void
  readonly onCheckpoint: (checkpoint: Uint8Array, epoch: number) => Promise<void>
  readonly signal: AbortSignal
}

export interface PipelineResult {
  readonly version: VersionRecord
  /** False when the same bytes were registered before: then nothing new has to travel. */
  readonly created: boolean
  readonly train: { rows: number; epochs: number; seconds: number; samplesPerSecond: number }
  /** By precision; of the rows held out for testing. */
  readonly evaluation: Readonly<Record<string, Evaluation>>
  /** Model file sizes by precision, and of `tfjs-fp32` where there is such a variant. */
  readonly bytes: Readonly<Record<string, number>>
  /** By the same names. */
  readonly variantDigests: Readonly<Record<string, string>>
  /** Blob of the trainer's last checkpoint. */
  readonly checkpoint: string
  /** Blob of the learning curves, an SVG. */
  readonly curves: string
  /** Blobs of the report of what quantizing cost; none for float alone, or where a note says why. */
  readonly report?: StoredReport
  /** What a person should know of how the model was trained, in plain words. */
  readonly notes: readonly string[]
}

interface Made {
  readonly precision: Variant['precision']
  readonly onnx: Uint8Array
  readonly scheme?: string
  readonly requires?: readonly string[]
}

/**
 * The one way from data to a registered version: load, split, train, quantize, evaluate, gate, publish. Throws
 * `GATE_FAILED` before anything is registered; for a job with variants in the format `tfjs` `TFJS_RUNTIME_MISSING` and
 * `TFJS_EXPORT_UNSUPPORTED` before it trains.
 */
export async function runPipeline(
  job: { id: string; spec: JobSpec; resumeFrom?: Uint8Array },
  workshop: Workshop,
): Promise<PipelineResult> {
  const { spec } = job
  workshop.onStage('loading')
  const parts = await loadParts(spec, workshop.artifacts)
  const base = spec.base && (await workshop.artifacts.blob(spec.base.sha256))
  const tfjs = spec.formats?.includes('tfjs')
    ? await openTfjs(spec, { base, inputs: parts.train.inputs }, { runtime: workshop.runtime, load: workshop.loadTfjs })
    : undefined

  workshop.onStage('training')
  const trained = await train(job, { parts, base }, workshop)

  workshop.onStage('quantizing')
  const float: Made = { precision: 'fp32', onnx: trained.onnx }
  const options = spec.recipe ?? (spec.precision === 'fp32' ? undefined : { precision: spec.precision })
  const made: Made[] = [float]
  if (options !== undefined) made.unshift(await quantize(trained.onnx, parts.validation, options, workshop))

  workshop.onStage('evaluating')
  const sessions: Session[] = []
  try {
    // One after the other, so that where one fails those before it are known.
    for (const { onnx } of made) sessions.push(await workshop.runtime.load(onnx))
    const floatSession = sessions.at(-1)!
    const evaluations: Evaluation[] = []
    for (const session of sessions) evaluations.push(await evaluate(session, judgedBy(spec, parts.test)))
    checkGates(spec.gates, evaluations.at(-1)!, evaluations[0]!)
    const graph = tfjs && (await graphModel(float.onnx, workshop.runtime))
    const graphSession = graph && (await tfjs.load(graph))
    if (graphSession !== undefined) sessions.push(graphSession)

    workshop.onStage('publishing')
    const { artifacts } = workshop
    const variants: Variant[] = []
    const notes = [...(trained.notes ?? [])]
    for (const [i, { precision, onnx, scheme, requires = [] }] of made.entries()) {
      const file = await artifacts.putFile(onnx, tensorRanges(readModel(onnx), onnx))
      const knownAnswers = await storeKnownAnswers(artifacts, {
        variant: sessions[i]!,
        file: onnx,
        float: floatSession,
        ...testedRows(sessions[i]!, parts.validation),
        engine: workshop.runtime.name,
        others: workshop.otherEngines ?? [],
        onUnable: (engine, reason) => notes.push(`${engine} cannot run the ${precision} variant: ${reason}`),
      })
      const files = [{ path: `model.${precision}.onnx`, ...file }]
      const form = { precision, ...(scheme && { scheme }), requires: [...requires] }
      variants.push({ id: `onnx-${precision}`, format: 'onnx', ...form, files, knownAnswers })
    }
    if (graph !== undefined && graphSession !== undefined)
      variants.push(
        await storeTfjsVariant({
          artifacts,
          file: graph,
          session: graphSession,
          float: floatSession,
          engine: workshop.runtime.name,
          part: parts.validation,
        }),
      )
    const small = made[0]!
    const report =
      small === float
        ? undefined
        : await storeReport({
            spec,
            runtime: workshop.runtime,
            artifacts,
            float: { onnx: float.onnx, session: floatSession },
            small: { made: small as QuantizedModel, session: sessions[0]! },
            test: judgedBy(spec, parts.test),
            calibrationRows: parts.validation.inputs.shape[0] ?? 0,
          }).catch((error: unknown) => {
            // The gates were passed: a version without a report is worth more than none.
            const reason = error instanceof Error ? error.message : String(error)
            notes.push(`there is no report of what quantizing cost: ${reason.split('\n')[0]}`)
            return undefined
          })
    const profile = profileSchemaFor(spec, sessions[0]!, parts.train.inputs)
    const checkpoint = await artifacts.putBlob(trained.checkpoint)
    const curves = await artifacts.putBlob(Buffer.from(learningCurves(trained.history)))
    const manifest: Manifest = {
      v: 1,
      model: spec.model,
      signature: {
        inputs: [...floatSession.signature.inputs],
        outputs: [...floatSession.signature.outputs],
      } as Manifest['signature'],
      variants,
      ...(spec.classes && { classes: spec.classes }),
      profile,
      baseline: await storeBaseline(artifacts, sessions[0]!, profile, parts.validation),
      metrics: metricsOf(made, evaluations),
      lineage: lineageOf(spec),
    }
    const entry = { model: spec.model, manifest: writeManifest(manifest), runId: job.id, aliases: spec.aliases }
    return {
      ...(await artifacts.register(entry)),
      train: {
        rows: spec.split.train,
        epochs: trained.epochs,
        seconds: trained.seconds,
        samplesPerSecond: trained.samplesPerSecond,
      },
      evaluation: Object.fromEntries(made.map(({ precision }, i) => [precision, evaluations[i]!])),
      bytes: ofFiles(variants, ({ size }) => size),
      variantDigests: ofFiles(variants, ({ sha256 }) => sha256),
      checkpoint: checkpoint.sha256,
      curves: curves.sha256,
      ...(report && { report }),
      notes,
    }
  } finally {
    await Promise.all(sessions.map((session) => session.dispose()))
  }
}

async function loadParts(spec: JobSpec, artifacts: Artifacts): Promise<Parts> {
  const data = decodeTensors(await artifacts.blob(spec.data.sha256)).data
  const issues = ['inputs', 'targets'].filter((name) => !data?.[name]).map((name) => `data/${name}: missing`)
  if (issues.length > 0) throw cloudErrors.DATA_INVALID({ issues })
  return splitDataset({ inputs: data!.inputs!, targets: data!.targets!, scale: spec.data.scale }, spec.split)
}

async function train(
  job: { spec: JobSpec; resumeFrom?: Uint8Array },
  { parts, base }: { parts: Parts; base: Uint8Array | undefined },
  workshop: Workshop,
) {
  const { spec } = job
  const initializeFrom = spec.from && !job.resumeFrom ? await workshop.artifacts.blob(spec.from.checkpoint) : undefined
  const teacher = spec.distillation && (await workshop.artifacts.blob(spec.distillation.sha256))
  return workshop.trainer.fit(spec, {
    train: parts.train,
    validation: parts.validation,
    signal: workshop.signal,
    onProgress: workshop.onProgress,
    onCheckpoint: workshop.onCheckpoint,
    ...(base && { base }),
    ...(teacher && { teacher }),
    ...(job.resumeFrom && { resumeFrom: job.resumeFrom }),
    ...(initializeFrom && { initializeFrom }),
  })
}

/** Of each variant's model file, by the names that a result has for variants. */
function ofFiles<T>(variants: readonly Variant[], take: (file: Variant['files'][number]) => T): Record<string, T> {
  const nameOf = ({ id, precision }: Variant) => (id === TFJS_VARIANT ? id : precision)
  return Object.fromEntries(variants.map((variant) => [nameOf(variant), take(variant.files[0]!)]))
}

/** What outputs are held against: for a reconstruction the rows themselves, whatever the targets are. */
function judgedBy({ loss }: JobSpec, part: Part): Part {
  return resolveLoss(loss).type === 'reconstruction' ? { ...part, targets: part.inputs } : part
}

async function quantize(
  onnx: Uint8Array,
  calibration: Part,
  options: QuantizeOptions,
  { quantizer, runtime }: Workshop,
) {
  const rows = Object.fromEntries(
    signatureOf(readModel(onnx)).inputs.map(({ name }) => [name, calibration.inputs] as const),
  )
  return await quantizer.quantize(onnx, rows, runtime, options)
}

function metricsOf(made: readonly Made[], evaluations: readonly Evaluation[]): Record<string, number> {
  const named = made.flatMap(({ precision }, i) =>
    Object.entries(evaluations[i]!).map(([metric, value]) => [`${metric}.${precision}`, value] as [string, number]),
  )
  return Object.fromEntries(named)
}

function lineageOf(spec: JobSpec): Manifest['lineage'] {
  const { data, seed, from, ...config } = spec
  return {
    dataDigest: data.sha256,
    configDigest: sha256Hex(canonicalJson(config)),
    seed,
    code: HOST_VERSION,
    splitSeed: spec.split.seed,
    ...(from && { parent: from.manifestDigest }),
    // The ONNX file that was trained further.
    ...(spec.base && { base: spec.base.sha256 }),
  }
}
