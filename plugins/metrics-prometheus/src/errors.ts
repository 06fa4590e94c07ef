import { defineErrors, entry } from '@tideway/core/serving'

/** What is wrong with a metric is wrong in the code that asks for it. */
export const { entries, errors } = defineErrors({
  METRIC_CONFLICT: entry<{ metric: string; reason: string }>(
    500,
    (d) => `the metric ${d.metric} is there already and is another one: ${d.reason}`,
    'Give it another name, or the same kind, labels and buckets everywhere.',
  ),
  METRIC_INVALID: entry<{ metric: string; issues: readonly string[] }>(
    500,
    (d) => `the metric ${d.metric} cannot be made: ${d.issues.join('; ')}`,
    'Name metrics and labels as Prometheus has it, with buckets that rise.',
  ),
})
