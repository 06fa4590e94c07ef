import * as tf from '@tensorflow/tfjs-core'
import type { Backend } from './backend.js'
import { initialize } from './initialize.js'

/** Plain JavaScript: there everywhere, and it has every kernel. */
export const cpu: Backend = {
  name: 'cpu',
  engine: 'cpu',
  package: '@tensorflow/tfjs-backend-cpu',
  get: 'npm install @tideway/runtime-tfjs',
  maxThreads: 1,
  mayBeHere: () => true,
  async start() {
    await import('@tensorflow/tfjs-backend-cpu')
    await initialize('cpu')
    // It would recommend tfjs-node on stderr with its first tensor; the choice of backends says that to who asks.
    const backend = tf.findBackend('cpu') as { firstUse?: boolean }
    backend.firstUse = false
    return {}
  },
}
