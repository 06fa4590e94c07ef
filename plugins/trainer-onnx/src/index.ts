export { type ImportanceOptions, weightImportance } from './importance.js'
export { onnxTrainer } from './plugin.js'
export { inOrder } from './providers/in-order.js'
export { createOnnxTrainer, type OnnxTrainerOptions } from './trainer.js'
