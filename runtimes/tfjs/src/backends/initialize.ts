import * as tf from '@tensorflow/tfjs-core'
import { firstLine, Unusable } from '@tideway/core'

/** Whether TensorFlow.js has made a backend of that name, ours or somebody else's. */
export function isInitialized(engine: string): boolean {
  return Object.hasOwn(tf.engine().registry, engine)
}

/**
 * Makes the backend that a package has registered, without switching to it: `tf.setBackend` would leave TensorFlow.js with
 * no backend at all until an asynchronous one is ready, for everybody in the process. It is registered anew as one that is
 * there already, so that a later switch takes effect at once. Throws `Unusable`.
 */
export async function initialize(engine: string): Promise<void> {
  if (isInitialized(engine)) return
  const factory = tf.findBackendFactory(engine)
  if (!factory) throw new Unusable('its package registered none with the TensorFlow.js that is used here', false)
  let made: tf.KernelBackend
  try {
    made = await factory()
  } catch (cause) {
    throw new Unusable(firstLine(cause), false, cause)
  }
  if (isInitialized(engine)) return made.dispose()
  const priority = tf.engine().registryFactory[engine]?.priority
  tf.removeBackend(engine)
  tf.registerBackend(engine, () => made, priority)
}
