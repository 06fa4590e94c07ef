import { defineErrors, entry } from '@tideway/core'

/** A hostile file may be wrong a million times; the first ones tell it. */
const MOST_LISTED = 20
const list = (all: readonly string[]): string =>
  [...all.slice(0, MOST_LISTED), ...(all.length > MOST_LISTED ? [`and ${all.length - MOST_LISTED} more`] : [])].join(
    ', ',
  )

/** Errors of the ONNX format layer, the graph builder and differentiation. `MODEL_INVALID` is core's. */
export const { entries, errors } = defineErrors({
  MODEL_EXTERNAL_DATA: entry<{ tensors: readonly string[] }>(
    400,
    (d) => `tensors are stored outside the model file: ${d.tensors.slice(0, 8).join(', ')}`,
    'Save the model as one file (in Python: onnx.save(model, path, save_as_external_data=False)).',
  ),
  MODEL_TOO_LARGE: entry<{ bytes: number; maxBytes: number }>(
    413,
    (d) => `the model would take ${d.bytes} bytes as one ONNX file; the format allows ${d.maxBytes}`,
    'Make the model smaller, or quantize it.',
  ),
  MODEL_GRAPH_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the model's graph is not valid: ${d.issues.join('; ')}`,
    'Export the model again, and check it with `onnx.checker.check_model`.',
  ),
  MODEL_OPSET_UNSUPPORTED: entry<{ opset: number; minimum: number; maximum: number }>(
    422,
    (d) => `the model imports operator set ${d.opset}; ${d.minimum} to ${d.maximum} are understood`,
    'Export the model with operator set 17.',
  ),
  OPERATOR_UNSUPPORTED: entry<{ nodes: readonly string[] }>(
    422,
    (d) => `nodes that cannot be taken over: ${d.nodes.slice(0, 8).join(', ')}`,
    'Export the model without them, or cut it before them.',
  ),
  NODE_INVALID: entry<{ node: string; operator: string; reason: string }>(
    422,
    (d) => `node "${d.node}" (${d.operator}) of the imported model does not fit: ${d.reason}`,
    'Check the shape given for the input; export with a free batch size (dynamic axes) and constant shapes.',
  ),
  VALUE_NOT_FOUND: entry<{ name: string; nearest: readonly string[] }>(
    404,
    (d) => `the model has no node or value "${d.name}"; there is: ${d.nearest.join(', ')}`,
    'Give the name of a node or of a value as the file has it.',
  ),
  EXTERNAL_DATA_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `tensors outside the model file cannot be read: ${d.issues.slice(0, 8).join('; ')}`,
    'Keep the data files beside the model, as the exporter wrote them; `readModelFile` takes the folder of both.',
  ),
  TENSOR_TYPE_UNSUPPORTED: entry<{ tensor: string; dataType: string }>(
    400,
    (d) => `tensor "${d.tensor}" has element type ${d.dataType}, which has no JavaScript array`,
    "Convert it to a type of core's DataType.",
  ),
  GRAPH_INVALID: entry<{ operator: string; reason: string }>(
    400,
    (d) => `operator ${d.operator} cannot be added to the graph: ${d.reason}`,
    'Correct its inputs or attributes.',
  ),
  GRADIENT_UNREACHABLE: entry<{ loss: string; parameters: readonly string[] }>(
    400,
    (d) => `loss "${d.loss}" does not depend on ${d.parameters.slice(0, 8).join(', ')}`,
    'Freeze these parameters, or connect them to the loss.',
  ),
  GRADIENT_NOT_DEFINED: entry<{ node: string; operator: string; nearest: string }>(
    400,
    (d) => `node "${d.node}" (${d.operator}) lies between a trained parameter and the loss and has no gradient`,
    'Rewrite it with the nearest supported form given in `data.nearest`, or freeze the parameters before it.',
  ),
  MODEL_ALREADY_QUANTIZED: entry<{ nodes: readonly string[] }>(
    409,
    (d) => `the model is quantized already: ${d.nodes.slice(0, 8).join(', ')}`,
    'Quantize the float model that it was made from.',
  ),
  QUANTIZE_OPSET_TOO_OLD: entry<{ opset: number; minimum: number }>(
    422,
    (d) => `the model imports operator set ${d.opset}; quantizing it in this form needs ${d.minimum}`,
    'Export the model again with a newer operator set, or take another form or scheme.',
  ),
  QUANTIZE_NOTHING: entry<{ kept: readonly string[] }>(
    422,
    (d) => `no node of the model can be quantized: ${d.kept.slice(0, 8).join('; ') || 'it has none'}`,
    'Ship the float model, or change the layers named.',
  ),
  TFJS_EXPORT_UNSUPPORTED: entry<{ nodes: readonly string[] }>(
    422,
    (d) => `the model has parts that a TensorFlow.js Graph model has no form for: ${list(d.nodes)}`,
    'Replace the layers named, or ship ONNX variants alone (leave `tfjs` out of the formats).',
  ),
  PRUNE_OPTIONS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the model cannot be pruned so: ${d.issues.join('; ')}`,
    'Correct the named options.',
  ),
  PRUNE_NOTHING: entry<{ kept: readonly string[] }>(
    422,
    (d) =>
      `no channel of the model can be removed: ${d.kept.slice(0, 8).join('; ') || 'it has no layers but the last'}`,
    'Change the layers named, or make the model smaller by another way.',
  ),
  PRUNE_TARGET_UNREACHABLE: entry<{ parameters: number; least: number }>(
    422,
    (d) => `${d.parameters} parameters cannot be reached: with one channel left in each layer there are ${d.least}`,
    'Ask for more parameters, or train a smaller network on the outputs of this one (distillation).',
  ),
  CALIBRATION_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the calibration rows cannot be used: ${d.issues.join('; ')}`,
    'Give representative rows for every input of the model, the same number for each.',
  ),
  COLUMNS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the columns cannot be fitted or built: ${d.issues.join('; ')}`,
    'Correct the column schema, or load rows that have these values.',
  ),
})
