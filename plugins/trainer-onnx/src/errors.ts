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
  CHECKPOINT_MISMATCH: entry<{ issues: readonly string[] }>(
    409,
    (d) => `the checkpoint does not belong to this job: ${d.issues.join('; ')}`,
    'Use the checkpoint of this job, or start without one.',
  ),
})
