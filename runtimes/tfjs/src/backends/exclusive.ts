import * as tf from '@tensorflow/tfjs-core'

/** Of the process, as the backend that TensorFlow.js computes on is. */
let last: Promise<unknown> = Promise.resolve()

/**
 * Computes on a backend that was started, whatever TensorFlow.js computes on otherwise: switches to it, runs the task in one
 * go, and switches back to what was chosen before. Tasks run one after another. Tensors made in a task stay on its backend;
 * their data may be read at any time.
 *
 * @example
 * const sum = await onBackend('wasm', () => tf.tidy(() => tf.sum(tf.tensor1d([1, 2]))))
 */
export function onBackend<T>(engine: string, task: () => T): Promise<T> {
  return enqueue(() => {
    const before = tf.getBackend()
    switchTo(engine)
    try {
      return task()
    } finally {
      // Nobody had chosen one: the next task most likely wants this one again.
      if (before) switchTo(before)
    }
  })
}

/**
 * The same for a task that waits in between (a graph with loops); other tasks wait for its end. What else in the process
 * switches backends meanwhile moves the task's next steps to another one: an answer as right, later, or an error.
 */
export function holdBackend<T>(engine: string, task: () => Promise<T>): Promise<T> {
  return enqueue(async () => {
    const before = tf.getBackend()
    switchTo(engine)
    try {
      return await task()
    } finally {
      if (before) switchTo(before)
    }
  })
}

function enqueue<T>(task: () => T | Promise<T>): Promise<T> {
  const next = last.then(task)
  last = next.catch(() => undefined)
  return next
}

/** Takes effect before it returns when the backend is initialized. Not free: it sets every kernel up again. */
function switchTo(engine: string): void {
  if (tf.getBackend() === engine) return
  tf.setBackend(engine).catch(() => undefined)
}
