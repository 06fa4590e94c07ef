import {
  type ResolvedQuantizationAware,
  resolveQuantizationAware,
  type Tensors,
  type TrainContext,
  type TrainedModel,
  type TrainJob,
} from '@tideway/core'
import { type AwareModel, awareModel, readModel, signatureOf } from '@tideway/onnx'
import {
  decodeCheckpoint,
  trainingErrors as errors,
  type FloatPart,
  floatPartOf,
  inferenceModel,
  initialStatistics,
  initialValues,
  type Phase,
  type Trainable,
} from '@tideway/training'
import { awareTrainable } from './network.js'
import { engineRuntime } from './runtime.js'

type FitPhase = (phase: Phase) => Promise<TrainedModel>

/** Rows that ranges begin with; they go on with every batch. */
const CALIBRATION_ROWS = 256

/**
 * Trains a job in two parts: in float, and then, on the float file with everything folded, with the rounding of int8. The
 * second part's optimizer starts afresh. A checkpoint of the second part holds the first one's file, so that a run goes
 * on from either to the same bits. Once rounding has begun it stays: epochs that a longer job has more are rounded, too.
 *
 * Throws what `awareModel` throws for a network that has nothing to quantize, before the second part, and
 * `TRAIN_CONFIG_INVALID`.
 */
export async function fitAware({ job, network, notes, context }: Phase, fit: FitPhase): Promise<TrainedModel> {
  const { quantizationAware, ...plain } = job
  if (quantizationAware === undefined) return fit({ job, network, notes, context })
  const resolved = resolveQuantizationAware(quantizationAware, job.optimizer.learningRate)
  const { resumeFrom, initializeFrom, ...rest } = context
  const resumed = resumeFrom && floatPartOf(resumeFrom)
  const parent = resumeFrom || !initializeFrom ? undefined : floatPartOf(initializeFrom)
  // A version trained further from one that was rounded is rounded from the start.
  const planned = parent === undefined ? job.epochs - resolved.epochs : 0
  if (resumed !== undefined && resumed.planned > planned)
    throw errors.CHECKPOINT_MISMATCH({
      issues: [`${resumed.planned} epochs came before rounding, in the job ${planned} do`],
    })
  const isFloatFirst = resumed === undefined && planned > 0
  const float = isFloatFirst
    ? await fit({
        job: { ...plain, epochs: planned },
        network,
        notes,
        context,
        place: { epochs: job.epochs, before: { epochs: 0, steps: 0 } },
      })
    : undefined
  const part: FloatPart =
    resumed ??
    (float === undefined
      ? { model: parent?.model ?? untrained({ job, network, notes, context }), planned: 0, steps: 0, history: [] }
      : { model: float.onnx, planned, steps: float.steps, history: float.history })
  const aware = await awareModel(part.model, rowsFor(part.model, network, context), engineRuntime)
  const rounded = awareTrainable(aware, network, resolved)
  const epochs = job.epochs - part.planned
  const before = { epochs: part.history.length, steps: part.steps }
  const { onCheckpoint } = context
  const trained = await fit({
    job: second(plain, resolved, epochs),
    network: rounded,
    notes: [...notes, ...notesOn(aware, network, rounded)],
    context: {
      ...rest,
      ...(resumed && resumeFrom && { resumeFrom }),
      ...(parent && initializeFrom && { initializeFrom }),
      ...(onCheckpoint && {
        onCheckpoint: (bytes: Uint8Array, epoch: number) => onCheckpoint(bytes, epoch + before.epochs),
      }),
    },
    before: part,
    place: { epochs: before.epochs + epochs, before },
  })
  return {
    ...trained,
    history: [...part.history, ...trained.history],
    epochs: before.epochs + trained.epochs,
    steps: before.steps + trained.steps,
    ...timeOf(float === undefined ? [trained] : [float, trained]),
  }
}

/** What the parts of this run took together. */
function timeOf(parts: readonly TrainedModel[]): Pick<TrainedModel, 'seconds' | 'samplesPerSecond'> {
  const seconds = parts.reduce((sum, part) => sum + part.seconds, 0)
  const samples = parts.reduce((sum, part) => sum + part.samplesPerSecond * part.seconds, 0)
  return { seconds, samplesPerSecond: seconds > 0 ? samples / seconds : 0 }
}

function second(job: TrainJob, { learningRate }: ResolvedQuantizationAware, epochs: number): TrainJob {
  return { ...job, optimizer: { ...job.optimizer, learningRate }, epochs }
}

/** The file of a network before any epoch. */
function untrained({ job, network, context }: Phase): Uint8Array {
  if (job.base === undefined && context.initializeFrom === undefined)
    throw errors.TRAIN_CONFIG_INVALID({
      issues: [
        'quantizationAware.epochs: a network that begins with random weights needs epochs in float before these',
      ],
    })
  const from = context.initializeFrom && decodeCheckpoint(context.initializeFrom, network)
  const parameters = from?.parameters ?? initialValues(network, job.seed)
  const statistics = from?.statistics ?? initialStatistics(network, context.train.inputs)
  return inferenceModel(network, { ...parameters, ...statistics })
}

/** Some training rows, spread over all, as the model takes them. */
function rowsFor(model: Uint8Array, network: Trainable, { train: { inputs } }: TrainContext): Tensors {
  const [spec] = signatureOf(readModel(model)).inputs
  const all = inputs.shape[0] ?? 0
  const count = Math.min(all, CALIBRATION_ROWS)
  const width = network.input.shape.reduce((product, size) => product * size, 1)
  const data = new Float32Array(count * width)
  for (let row = 0; row < count; row++) {
    const from = Math.floor((row * all) / count) * width
    // Bytes, too: the graph widens them in the same way.
    data.set((inputs.data as Float32Array).subarray(from, from + width), row * width)
  }
  return { [spec?.name ?? '']: { dtype: 'float32', shape: [count, ...network.input.shape], data } }
}

function notesOn({ tensors, weights, kept }: AwareModel, plain: Trainable, rounded: Trainable): string[] {
  const left = new Set(rounded.parameters.flatMap(({ name, trainable }) => (trainable ? [] : [name])))
  // A mean and a variance each.
  const normalized = (rounded.estimated ?? []).length / 2
  const folded = plain.parameters.filter(({ name, trainable }) => !trainable && !left.has(name))
  return [
    `${weights.length} weights and ${tensors.length} tensors were rounded as int8 will round them; ${kept.length} nodes stay in float`,
    ...(normalized > 0
      ? [`${normalized} layers were normalized again: batch normalization had been folded into them`]
      : []),
    ...(folded.length > 0
      ? [`${folded.length} frozen tensors became others by folding, and were trained: ${folded[0]?.name}, …`]
      : []),
  ]
}
