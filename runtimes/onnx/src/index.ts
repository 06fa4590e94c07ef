export { FAKE_QUANTIZE } from './build/fake-quantize.js'
export { type BuiltNode, GraphBuilder, type GraphOptions, OPSET, type OpOptions } from './build/graph-builder.js'
export { type ResizeMode, resizeWeights } from './build/interpolate.js'
export { LEARNED_QUANTIZE } from './build/learned-quantize.js'
export { roundName, type Unrolling, unroll } from './build/unroll.js'
export { type Dim, floats, int64s, type Value, type ValueType } from './build/value.js'
export { cleanUp, cleanUpModel } from './cleanup/cleanup.js'
export { fitColumns } from './columns/fit.js'
export {
  type CategoryStatistics,
  type ColumnStatistics,
  fillOf,
  isCategory,
  isNumber,
  type NumberStatistics,
  pairColumns,
  scalingOf,
} from './columns/statistics.js'
export { columnNames, columnTransform } from './columns/transform.js'
export { entries as onnxErrorEntries, errors as onnxErrors } from './errors.js'
export { type ExternalData, readModelFile } from './format/external.js'
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
export { readModel, readTensor, tensorsOf } from './format/read.js'
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
export type { NodeEmission } from './import/emission.js'
export { type EmitOptions, emit } from './import/emit.js'
export { type ImportOptions, importModel, OPSETS } from './import/import.js'
export type { ImportedModel, ImportedNode } from './import/model.js'
export { cutAt, featuresOf, nearest } from './import/surgery.js'
export { type Weight, type WeightRole, weightsOf } from './import/weights.js'
export { ACCUMULATED, accumulateGradients } from './optimize/accumulate.js'
export { AVERAGE, averageScale } from './optimize/average.js'
export { type Clipped, clipGradients } from './optimize/clip.js'
export { huber, meanAbsoluteError, meanSquaredError } from './optimize/losses/regression.js'
export { type SigmoidOptions, sigmoidCrossEntropy } from './optimize/losses/sigmoid.js'
export { type SoftmaxOptions, softmaxCrossEntropy, softmaxCrossEntropySoft } from './optimize/losses/softmax.js'
export { type Loss, lossOf } from './optimize/losses/table.js'
export { triplet } from './optimize/losses/triplet.js'
export type { AdamStep, AdamWStep } from './optimize/optimizers/adam.js'
export type { LionStep } from './optimize/optimizers/lion.js'
export type { RmspropStep } from './optimize/optimizers/rmsprop.js'
export type { StepInputs, StepOutputs } from './optimize/optimizers/rule.js'
export type { SgdStep } from './optimize/optimizers/sgd.js'
export { type OptimizerStep, optimizerStep, type StepOptions, stateNames } from './optimize/step.js'

export { type Pruned, type PruneOptions, pruneModel } from './prune/prune.js'
export {
  type AwareModel,
  awareModel,
  type NormalizedLayer,
  type RoundedTensor,
  type RoundedWeight,
} from './quantize/aware.js'

export { checkCalibration } from './quantize/calibrate.js'
export { formOf, type ModelForm } from './quantize/form.js'
export { missingIn } from './quantize/missing.js'

export { createInt8Quantizer, type Int8Model, type Int8Quantizer } from './quantize/quantizer.js'
export { createQuantizer } from './quantize/recipes.js'
export type { GivenRanges, GivenScales, Int8Options, LossGate, Trained } from './quantize/static/options.js'
export type { ValueRange } from './quantize/static/ranges.js'
export type { LayerReport } from './quantize/static/report.js'

export { takeRounding, writeRounding } from './quantize/static/trained.js'

export { labelOf, viewOf } from './quantize/view.js'
export { tfjsGraphModel } from './tfjs/export.js'
