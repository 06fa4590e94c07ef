import '@tensorflow/tfjs-backend-cpu'
import { trainerContract } from '@tideway/test/contract/trainer'
import { createTfjsTrainer } from './trainer.js'

trainerContract('tfjs on cpu', () => createTfjsTrainer({ backend: 'cpu' }))
