export { type Feeder, openFeeder } from './batches/feeder.js'
export { balancedLoss, feederOptions } from './batches/job.js'
export {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type FloatPart,
  floatPartOf,
  jobDigest,
} from './checkpoint.js'
export { addTeacher, teacherOf } from './distill/teacher.js'
export { earlyStopping } from './early-stopping.js'
export type {
  Arrays,
  EngineOrder,
  InitialTensors,
  TrainEngine,
  TrainedBatch,
  TrainedWeights,
} from './engine.js'
export { entries as trainingErrorEntries, errors as trainingErrors } from './errors.js'
export type { Mask } from './graphs/context.js'
export { estimationGraph, evaluationGraph, inferenceModel } from './graphs/inference.js'
export { addLoss } from './graphs/loss.js'
export { CORRECT, FACTOR, FEED, factorOf, LOSS, nextOf, type RowsType, SCALE, stateOf } from './graphs/names.js'
export { rowsInput, type StepOrder, type StepPart, type TrainingStep, trainingGraph } from './graphs/training.js'
export { GRADIENT, UPDATED, updateGraph } from './graphs/update.js'
export { type FineTuneOptions, type HeadOptions, type ImportedTrainable, importTrainable } from './imported/index.js'
export { NORMALIZATION } from './imported/normalization.js'
export { lastActivationOf, PREFIX, parameterOf, safe } from './imported/parts.js'
export { initialParameters, initialStatistics, initialValues, parameterShapes } from './initial.js'
export { fromKerasFile, type KerasFileOptions } from './keras/file.js'
export { fromKeras, type KerasImport } from './keras/index.js'
export type { KerasWeight } from './keras/weights.js'
export { trainableOf } from './layers/index.js'
export { readNetwork } from './layers/text.js'
export { elements, type Layout, layoutOf, type Slot } from './layout.js'
export { fillMask } from './masks.js'
export { unpack } from './pack.js'
export { type Place, Progress } from './progress.js'
/** What makes a run reproducible elsewhere: the order of rows and the initial weights, as functions of the seed. */
export { shuffled as shuffledRows, words } from './random.js'
export { release } from './release.js'
export { fitPhase, type Phase } from './run.js'
export { learningRateOf } from './schedule.js'
export { LaidOutWeights, SlotWeights } from './slot-weights.js'
export type { Forward, ForwardContext, ParameterSpec, StatisticSpec, Trainable } from './trainable.js'
export { checkData, trainableIn } from './validate.js'
export { type ParameterPlace, type StepOptions, type WrittenStep, writeTrainingStep } from './written-step.js'
