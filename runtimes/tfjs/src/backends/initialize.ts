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
  if (isInitialized(engine)) return guard(tf.engine().registry[engine])
  const factory = tf.findBackendFactory(engine)
  if (!factory) throw new Unusable('its package registered none with the TensorFlow.js that is used here', false)
  let made: tf.KernelBackend
  try {
    made = await factory()
  } catch (cause) {
    throw new Unusable(firstLine(cause), false, cause)
  }
  if (isInitialized(engine)) return made.dispose()
  guard(made)
  const priority = tf.engine().registryFactory[engine]?.priority
  tf.removeBackend(engine)
  tf.registerBackend(engine, () => made, priority)
}

type Make = (shape: readonly number[], ...rest: unknown[]) => unknown
/** By these names the backends make the tensor that a kernel writes to. */
const MAKERS = ['makeOutput', 'makeTensorInfo'] as const
const guarded = new WeakSet<object>()

/**
 * Has a backend refuse outputs of negative sizes. A window that is larger than its image gives such in TensorFlow.js 4.22
 * without an error; in WebAssembly its kernel then writes over other tensors, and every later answer may be wrong.
 */
function guard(backend: object | undefined): void {
  if (backend === undefined || guarded.has(backend)) return
  guarded.add(backend)
  const makers = backend as Partial<Record<(typeof MAKERS)[number], Make>>
  for (const name of MAKERS) {
    const make = makers[name]
    if (make === undefined) continue
    makers[name] = (shape, ...rest) => {
      if (shape.some((size) => size < 0))
        throw new Error(`an input is too small: a kernel would give the shape [${shape.join(', ')}]`)
      return make.call(backend, shape, ...rest)
    }
  }
}
