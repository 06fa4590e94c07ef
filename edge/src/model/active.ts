import type { Logger, Manifest, Session, Signature, Tensors, Variant } from '@tideway/core'
import type { Installed } from '../store/pointers.js'
import { createWindow, type Window } from './window.js'

/** A loaded version that answers requests. */
export interface ActiveModel {
  readonly installed: Installed
  readonly variant: Variant
  readonly signature: Signature
  readonly window: Window | undefined
  /** Runs and profiles one request; answers how long it took too. Throws what the session throws. */
  run(inputs: Tensors): Promise<{ readonly outputs: Tensors; readonly latencyMs: number }>
  /** Resolves when no request is under way. */
  drained(): Promise<void>
  dispose(): Promise<void>
}

export interface LoadedVersion {
  readonly manifest: Manifest
  readonly variant: Variant
  readonly session: Session
}

export function createActive(installed: Installed, loaded: LoadedVersion, logger: Logger): ActiveModel {
  const { manifest, variant, session } = loaded
  const window = createWindow(manifest.profile, logger)
  let running = 0
  let waiting: (() => void)[] = []

  const run: ActiveModel['run'] = async (inputs) => {
    const startedAt = performance.now()
    running += 1
    try {
      const outputs = await session.run(inputs)
      const latencyMs = performance.now() - startedAt
      window?.observe(inputs, outputs, latencyMs)
      return { outputs, latencyMs }
    } catch (error) {
      window?.observeError()
      throw error
    } finally {
      running -= 1
      if (running === 0) for (const wake of waiting.splice(0)) wake()
    }
  }

  return {
    installed,
    variant,
    signature: session.signature,
    window,
    run,
    async drained() {
      if (running > 0) await new Promise<void>((resolve) => waiting.push(resolve))
    },
    async dispose() {
      waiting = []
      await session.dispose()
    },
  }
}
