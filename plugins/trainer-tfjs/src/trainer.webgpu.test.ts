import { trainerContract } from '@tideway/test/contract/trainer'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { createTfjsTrainer } from './trainer.js'

describeWithGpu('TensorFlow.js on WebGPU', () => {
  trainerContract('TensorFlow.js on webgpu', () => createTfjsTrainer({ backends: ['webgpu'] }))
})
