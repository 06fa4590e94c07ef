import { arrayClasses, type NumericType, type Signature, type Tensor, type Tensors } from '../contracts/tensor.js'

/**
 * The answer to a batch of no rows, where the signature tells it: each output with a free first size is empty, too;
 * undefined otherwise. For runtimes on engines that do not take one.
 */
export function answerNoRows({ inputs: specs, outputs }: Signature, inputs: Tensors): Tensors | undefined {
  const empty = specs.every(({ name, shape }) => shape[0] === null && inputs[name]?.shape[0] === 0)
  const told = outputs.every(
    ({ dtype, shape }) => dtype !== 'string' && shape[0] === null && !shape.slice(1).includes(null),
  )
  if (!empty || !told || specs.length === 0) return undefined
  return Object.fromEntries(
    outputs.map(({ name, dtype, shape }) => {
      const data = new arrayClasses[dtype as NumericType](0)
      return [name, { dtype, shape: [0, ...shape.slice(1).map(Number)], data } as Tensor]
    }),
  )
}
