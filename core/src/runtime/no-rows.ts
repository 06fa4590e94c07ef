import { arrayClasses, type NumericType, type Signature, type Tensor, type Tensors } from '../contracts/tensor.js'

/**
 * Whether a signature tells the answer to a batch of no rows: each output with a free first size is empty, too. Engines do
 * not all take one: ONNX Runtime 1.30's kernels of LSTM and GRU end the process.
 */
export function answersNoRows({ inputs, outputs }: Signature): boolean {
  const told = outputs.every(
    ({ dtype, shape }) => dtype !== 'string' && shape[0] === null && !shape.slice(1).includes(null),
  )
  return told && inputs.length > 0 && inputs.every(({ shape }) => shape[0] === null)
}

export function hasNoRows(names: readonly string[], inputs: Tensors): boolean {
  for (const name of names) if (inputs[name]?.shape[0] !== 0) return false
  return true
}

/** The empty outputs of a signature that `answersNoRows`. */
export function withoutRows({ outputs }: Signature): Tensors {
  return Object.fromEntries(
    outputs.map(({ name, dtype, shape }) => {
      const data = new arrayClasses[dtype as NumericType](0)
      return [name, { dtype, shape: [0, ...shape.slice(1).map(Number)], data } as Tensor]
    }),
  )
}

/** The answer to a batch of no rows; undefined for inputs that have some, and where the signature does not tell it. */
export function answerNoRows(signature: Signature, inputs: Tensors): Tensors | undefined {
  const names = signature.inputs.map(({ name }) => name)
  return answersNoRows(signature) && hasNoRows(names, inputs) ? withoutRows(signature) : undefined
}
