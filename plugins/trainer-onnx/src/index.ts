export { type ImportanceOptions, weightImportance } from './importance.js'
export { onnxTrainer } from './plugin.js'
export { createOnnxTrainer, type OnnxTrainerOptions } from './trainer.js'
