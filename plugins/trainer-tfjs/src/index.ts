export { entries as trainerTfjsErrorEntries, errors as trainerTfjsErrors } from './errors.js'
export { tfjsTrainer } from './plugin.js'
export { createTfjsTrainer, type TfjsTrainerOptions } from './trainer.js'
