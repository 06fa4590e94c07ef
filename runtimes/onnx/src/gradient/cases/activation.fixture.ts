import { away, type Cases, unary } from './common.fixture.js'

export const activationCases: Cases = {
  LogSoftmax: [
    ...unary('LogSoftmax').slice(1, 2),
    ...unary('LogSoftmax', undefined, { axis: -1n }).slice(1),
    ...unary('LogSoftmax', undefined, { axis: 0n }).slice(1),
  ],
  Relu: unary('Relu', away),
  Sigmoid: unary('Sigmoid'),
  Softmax: [...unary('Softmax').slice(1), ...unary('Softmax', undefined, { axis: 0n }).slice(1)],
  Tanh: unary('Tanh'),
}
