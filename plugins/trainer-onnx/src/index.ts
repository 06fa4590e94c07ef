export { entries as trainerOnnxErrorEntries, errors as trainerOnnxErrors } from './errors.js'
export { fromKeras, type KerasImport } from './keras/index.js'
export type { KerasWeight } from './keras/weights.js'
export { trainableOf } from './layers/index.js'
export { readNetwork } from './layers/text.js'
export { onnxTrainer } from './plugin.js'
/** What makes a run reproducible elsewhere: the order of rows and the initial weights, as functions of the seed. */
export { shuffled as shuffledRows } from './random.js'
export { createOnnxTrainer, initialParameters, type OnnxTrainerOptions, parameterShapes } from './trainer.js'
