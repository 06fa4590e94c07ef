import { defineErrors, entry } from '@tideway/core'

/** Errors of training. */
export const { entries, errors } = defineErrors({
  TRAIN_CONFIG_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the training job is not valid: ${d.issues.join('; ')}`,
    'Correct the named fields.',
  ),
  TRAIN_DATA_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the training data does not fit the job: ${d.issues.join('; ')}`,
    'Correct the named tensors.',
  ),
  LOSS_NOT_FINITE: entry<{ step: number; epoch: number; what: string }>(
    422,
    (d) => `${d.what} is not a finite number at step ${d.step} (epoch ${d.epoch})`,
    'Lower the learning rate, scale the inputs (a normalization or rescaling layer), or look for outliers in the targets.',
  ),
  TRAIN_ABORTED: entry<{ step: number; epoch: number }>(
    499,
    (d) => `training was stopped before step ${d.step} (epoch ${d.epoch})`,
    'Start it again with `resumeFrom` and the last checkpoint to go on from there.',
  ),
  BATCH_WORKER_FAILED: entry<{ reason: string }>(
    500,
    (d) => `a thread that makes batches failed: ${d.reason}`,
    'Resume from the last checkpoint; if it fails again, look at its cause and at the memory that is free.',
  ),
  CHECKPOINT_MISMATCH: entry<{ issues: readonly string[] }>(
    409,
    (d) => `the checkpoint does not belong to this job: ${d.issues.join('; ')}`,
    'Use the checkpoint of this job, or start without one.',
  ),
  KERAS_UNSUPPORTED: entry<{ issues: readonly string[] }>(
    422,
    (d) => `the Keras model has parts that are not supported: ${d.issues.join('; ')}`,
    'Leave them out, or export the model to ONNX and fine-tune that.',
  ),
  KERAS_WEIGHTS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the weights do not fit the Keras model: ${d.issues.join('; ')}`,
    'Save model and weights together, and give all files that model.json names.',
  ),
  KERAS_FILE_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the Keras file cannot be read: ${d.issues.join('; ')}`,
    'Save the model anew (`model.save("model.keras")`), or raise the limit that is named.',
  ),
  KERAS_READER_MISSING: entry(
    501,
    () => 'weights in HDF5 files (.keras, .h5) need the package h5wasm, which is not installed',
    'Run `npm install h5wasm`; or give the tensors by name, or a model that tensorflowjs_converter made.',
  ),
  NETWORK_TEXT_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the network is not YAML or JSON that can be read: ${d.issues.join('; ')}`,
    'Correct the named lines; write plain YAML without tags.',
  ),
})
