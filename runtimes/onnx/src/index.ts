export { type BuiltNode, GraphBuilder, OPSET, type OpOptions } from './build/graph-builder.js'
export { roundName, type Unrolling, unroll } from './build/unroll.js'
export { type Dim, floats, int64s, type Value, type ValueType } from './build/value.js'
export { fitColumns } from './columns/fit.js'
export type { CategoryStatistics, ColumnStatistics, NumberStatistics } from './columns/statistics.js'
export { columnNames, columnTransform } from './columns/transform.js'
export { entries as onnxErrorEntries, errors as onnxErrors } from './errors.js'
export {
  type Attributes,
  type AttributeValue,
  attributesOf,
  findInitializer,
  graphOf,
  makeNode,
  opsetOf,
  setInitializer,
} from './format/node.js'
export { type TensorRange, tensorRanges } from './format/ranges.js'
export { readModel, tensorsOf } from './format/read.js'
export { signatureOf, specOf, valueInfo } from './format/signature.js'
export { DEFAULT_READ_LIMITS, type ReadLimits } from './format/skim.js'
export { fromTensor, toTensor } from './format/tensor.js'
export { ATTRIBUTE_TYPE, dataTypeOf, ELEMENT_TYPE } from './format/types.js'
export { MAX_MODEL_BYTES, writeModel } from './format/write.js'
export type {
  Attribute,
  Function as OnnxFunction,
  Graph,
  Model,
  Node,
  TensorData,
  ValueInfo,
} from './generated/onnx_pb.js'
export {
  AttributeSchema,
  GraphSchema,
  ModelSchema,
  NodeSchema,
  TensorDataSchema,
  ValueInfoSchema,
} from './generated/onnx_pb.js'
export { differentiate } from './gradient/differentiate.js'
export { GRADIENTS } from './gradient/rules.js'
export { type EmitOptions, emit } from './import/emit.js'
export type { NodeEmission } from './import/emission.js'
export { type ImportOptions, importModel, OPSETS } from './import/import.js'
export type { ImportedModel, ImportedNode } from './import/model.js'
export { cutAt, featuresOf, nearest } from './import/surgery.js'
export { type Weight, type WeightRole, weightsOf } from './import/weights.js'
export { meanSquaredError, softmaxCrossEntropy } from './optimize/loss.js'
export {
  type AdamStep,
  type OptimizerStep,
  optimizerStep,
  type SgdStep,
  type StepInputs,
  type StepOutputs,
  stateNames,
} from './optimize/step.js'
export { createInt8Quantizer } from './quantize/quantizer.js'
