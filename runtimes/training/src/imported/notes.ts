import type { ImportedModel, Weight } from '@tideway/onnx'
import type { ParameterSpec } from '../trainable.js'
import { foldedNormalizations, type Normalization } from './normalization.js'

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
const size = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0)

/** What a person should know of a model that is about to be trained, in plain words. */
export function notesOn(
  model: ImportedModel,
  weights: readonly Weight[],
  parameters: readonly ParameterSpec[],
  all: readonly Normalization[],
  trained: ReadonlySet<Normalization>,
): string[] {
  const notes = [...model.notes]
  const frozen = parameters.filter(({ trainable }) => !trainable)
  notes.push(
    `${count(parameters.length - frozen.length, 'tensor')} (${size(parameters) - size(frozen)} numbers) are trained, ${count(frozen.length, 'tensor')} (${size(frozen)} numbers) are frozen`,
  )
  if (trained.size > 0)
    notes.push(
      `${count(trained.size, 'batch normalization')} trained with the statistics of each batch; the running ones go into the model`,
    )
  const kept = all.length - trained.size
  if (kept > 0) notes.push(`${count(kept, 'batch normalization')} in frozen parts keep the statistics of the file`)
  const folded = foldedNormalizations(model).length
  if (folded > 0)
    notes.push(
      `${count(folded, 'batch normalization')} folded into convolutions by the exporter: trained as the convolutions' weights and biases`,
    )
  const shared = weights.filter(({ nodes }) => nodes.length > 1).map(({ name }) => name)
  if (shared.length > 0)
    notes.push(
      `${count(shared.length, 'tensor')} used by several nodes, each trained as one (exporters store equal values once): ${shared.slice(0, 5).join(', ')}${shared.length > 5 ? ', …' : ''}`,
    )
  const [input] = model.inputs
  if (typeof input?.shape[0] === 'number')
    notes.push(`the file has a fixed batch of ${input.shape[0]}; here the batch is free`)
  if (input !== undefined && input.dtype !== 'float32')
    notes.push(`input "${input.name}" is ${input.dtype} in the file; rows are given as float32 and converted`)
  return notes
}
