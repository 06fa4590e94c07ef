import { describe, expect, it } from 'vitest'
import { checkDataset, classCounts } from './check-dataset.js'
import type { Dataset } from './dataset.js'

const labelled = (labels: readonly number[], rest: Partial<Dataset> = {}): Dataset => ({
  inputs: { dtype: 'float32', shape: [labels.length, 1], data: new Float32Array(labels.length) },
  targets: { dtype: 'int32', shape: [labels.length], data: Int32Array.from(labels) },
  ...rest,
})
const issuesOf = (dataset: Dataset) => {
  try {
    checkDataset(dataset)
  } catch (error) {
    expect(error).toMatchObject({ code: 'DATASET_INVALID' })
    return (error as { data: { issues: string[] } }).data.issues
  }
  return []
}

describe('classCounts', () => {
  it('counts the rows of each class and names those without any', () => {
    expect(classCounts(labelled([0, 2, 2, 2], { classes: ['a', 'b', 'c'] }))).toEqual({
      counts: [1, 0, 3],
      empty: ['b'],
      imbalance: 3,
    })
    expect(classCounts(labelled([1, 1]))).toEqual({ counts: [0, 2], empty: ['class 0'], imbalance: 1 })
  })

  it('refuses targets that are no classes', () => {
    const targets = { dtype: 'float32', shape: [1, 1], data: Float32Array.of(1) } as const
    expect(() => classCounts(labelled([0], { targets }))).toThrow(/targets are float32 \[1, 1\]/)
  })
})

describe('checkDataset', () => {
  it('takes data of several classes, and values to predict', () => {
    expect(issuesOf(labelled([0, 1]))).toEqual([])
    const targets = { dtype: 'float32', shape: [2, 1], data: Float32Array.of(1, 1) } as const
    expect(issuesOf(labelled([0, 0], { targets }))).toEqual([])
  })

  it('refuses no rows, one class, and labels out of range, by row', () => {
    expect(issuesOf(labelled([]))).toEqual(['there are no rows'])
    expect(issuesOf(labelled([1, 1], { classes: ['off', 'on'] }))).toEqual([
      'all rows are of one class, on: there is nothing to tell apart',
    ])
    expect(issuesOf(labelled([0, 2, -1, 1], { classes: ['off', 'on'] }))).toEqual([
      'row 1: its label is not 0 to 1',
      'row 2: its label is not 0 to 1',
    ])
    expect(issuesOf(labelled([0, 2_000_000_000]))).toEqual(['row 1: its label is not 0 to 65535'])
  })

  it('leaves targets alone that the loss does not use', () => {
    const dataset = labelled([0, 0])
    expect(() => checkDataset(dataset, { loss: 'reconstruction' })).not.toThrow()
    expect(() => checkDataset(dataset, { loss: { type: 'softmaxCrossEntropy' } })).toThrow(/all rows are of one class/)
    expect(() => checkDataset(labelled([]), { loss: 'reconstruction' })).toThrow(/no rows/)
  })

  it('names the first bad labels and counts the rest', () => {
    const issues = issuesOf(
      labelled(
        Array.from({ length: 50 }, () => 9),
        { classes: ['off', 'on'] },
      ),
    )
    expect(issues).toHaveLength(21)
    expect(issues.at(-1)).toBe('50 rows in all have a label out of range')
  })

  it('refuses tensors that disagree and targets that are not finite', () => {
    const targets = { dtype: 'float32', shape: [3, 1], data: Float32Array.of(1, Number.NaN, Infinity) } as const
    expect(issuesOf(labelled([0, 1], { targets, features: ['a', 'b'], image: [2, 2, 1] }))).toEqual([
      '2 rows of inputs, but 3 of targets',
      '2 names of features for rows of shape [1]',
      'images of [2, 2, 1] for rows of shape [1]',
      '2 targets are not finite, the first in place 1',
    ])
  })
})
