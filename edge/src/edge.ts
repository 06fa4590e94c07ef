import { randomBytes } from 'node:crypto'
import type { Signature, Tensors, Unsubscribe } from '@tideway/core'
import { errors } from './errors.js'
import type { ActiveModel } from './model/active.js'
import { ModelSlot } from './model/slot.js'
import { type EdgeOptions, resolveOptions } from './options.js'
import { openOutbox } from './reports/outbox.js'
import { createOutboxFiles } from './reports/outbox-files.js'
import { createReporter, type Reporter } from './reports/reporter.js'
import { openFolder, startFromDisk } from './start.js'
import { type EdgeStatus, modelStatus, reportedState } from './status.js'
import { createChunkFiles } from './store/chunks.js'
import { layoutOf } from './store/layout.js'
import { createPointers, type Installed } from './store/pointers.js'
import { createInstaller } from './update/installer.js'
import { createUpdater } from './update/updater.js'

/** One model of an edge; it may be asked for before it is active. */
export interface EdgeModel {
  readonly name: string
  /** Of the active version; undefined while there is none. */
  readonly signature: Signature | undefined
  /** Throws `MODEL_NOT_ACTIVE`, `INPUT_INVALID`, `EDGE_CLOSED`. */
  infer(inputs: Tensors): Promise<Tensors>
}

export interface Edge {
  model(name: string): EdgeModel
  /** For a device with one model. Throws `MODEL_AMBIGUOUS`, and what `EdgeModel.infer` throws. */
  infer(inputs: Tensors): Promise<Tensors>
  status(): EdgeStatus
  /** Calls the handler after every change of a model's status; answers how to stop. */
  onChange(handler: (status: EdgeStatus) => void): () => void
  /** Seals the current windows and hands the outbox to the link; the acknowledgement is not waited for. */
  flush(): Promise<void>
  /** Flushes, waits a little for acknowledgements, lets runs in flight end, disposes. The link stays open. */
  close(): Promise<void>
}

/**
 * Starts an edge: what was active is loaded from disk without the network, then desired state is followed.
 *
 * Throws `NAME_INVALID`, `EDGE_DIR_LOCKED`, `EDGE_DIR_OTHER_DEVICE`. A disk that is full or read-only does not stop it:
 * what is on disk goes on.
 *
 * @example
 * const link = await connectEdgeNats({ url: 'nats://127.0.0.1:4222', fleet: 'plant-7', device: 'press-1' })
 * const edge = await createEdge({
 *   device: 'press-1', fleet: 'plant-7', dir: '/var/lib/tideway', link, runtime: createOnnxNodeRuntime(),
 * })
 * const { probabilities } = await edge.model('digits').infer({ image })
 */
export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const settings = resolveOptions(options)
  const { device, fleet, link, runtime, logger, limits } = settings
  const layout = layoutOf(settings.dir)
  const unlock = await openFolder(layout, device, fleet, logger)
  try {
    const boot = `b${Date.now().toString(36)}-${randomBytes(4).toString('hex')}`
    const chunks = createChunkFiles(layout)
    const pointers = createPointers(layout, logger)
    const installer = createInstaller({ link, runtime, chunks, limits, logger })
    const slots = new Map<string, ModelSlot>()
    const handlers = new Set<(status: EdgeStatus) => void>()
    const files = createOutboxFiles(layout)
    const outbox = await openOutbox({ device, fleet, boot, files, link, limits, logger })
    const last = await pointers.readDesired()
    const failures: [string, Installed, unknown][] = []
    const installed = await startFromDisk({ installer, slots, logger }, await pointers.read(), failures)

    const status = (): EdgeStatus => ({
      device,
      fleet,
      boot,
      generation: updater.generation,
      connected: link.connected(),
      models: Object.fromEntries([...slots].map(([name, slot]) => [name, modelStatus(slot)])),
      outbox: outbox.stats(),
    })
    const reporter: Reporter = createReporter({
      link,
      outbox,
      logger,
      slots,
      reported: () => reportedState(status(), runtime),
    })
    const changed = () => {
      reporter.state()
      const now = status()
      for (const handler of handlers) handler(now)
    }
    const retiring = new Set<Promise<void>>()
    const retire = async (name: string, before: ActiveModel): Promise<void> => {
      await before.drained()
      reporter.seal(name, before)
      await before.dispose()
    }
    const updater = createUpdater(
      {
        installer,
        chunks,
        pointers,
        slots,
        installed,
        limits,
        logger,
        newSlot: (name) => new ModelSlot(name, { phase: 'fetching', generation: 0 }),
        onChange: changed,
        onFailure: (model, want, error) => reporter.failure(model, want, error),
        retire(slot, before) {
          const done = retire(slot.name, before)
            .catch((error: unknown) => logger.warn('a session was not disposed of', { error: String(error) }))
            .finally(() => retiring.delete(done))
          retiring.add(done)
        },
      },
      last,
    )
    for (const [model, what, error] of failures) reporter.failure(model, what, error)
    changed()

    let closing: Promise<void> | undefined
    link.onConnect(() => {
      if (closing !== undefined) return
      outbox.resend()
      updater.retryNow()
      reporter.announce()
    })
    const timer = setInterval(() => reporter.sealAll(), settings.reportEveryMs)
    const subscriptions: Unsubscribe[] = [
      await link.watchAcks((ack) => outbox.acknowledge(ack)),
      await link.watchDesired((desired) => updater.offer(desired)),
    ]

    const flush = async (): Promise<void> => {
      reporter.sealAll()
      await reporter.settled()
      await outbox.sent()
    }
    const close = async (): Promise<void> => {
      clearInterval(timer)
      await updater.close()
      for (const slot of slots.values()) {
        const before = slot.switchTo(undefined)
        if (before !== undefined) retiring.add(retire(slot.name, before))
      }
      await Promise.allSettled(retiring)
      await reporter.settled()
      // A link that hangs must not keep the agent from ending: what it did not take is on disk.
      await within(limits.closeTimeoutMs, outbox.sent())
      if (link.connected()) await outbox.acknowledged(limits.closeTimeoutMs)
      await Promise.allSettled(subscriptions.map((unsubscribe) => unsubscribe()))
      await within(limits.closeTimeoutMs, outbox.close())
      await unlock()
    }
    const infer = (slot: ModelSlot | undefined, name: string, inputs: Tensors): Promise<Tensors> => {
      if (closing !== undefined) return Promise.reject(errors.EDGE_CLOSED({}))
      if (slot === undefined) return Promise.reject(errors.MODEL_NOT_ACTIVE({ model: name }))
      return slot.infer(inputs)
    }

    return {
      model: (name) => ({
        name,
        get signature() {
          return slots.get(name)?.active?.signature
        },
        infer: (inputs) => infer(slots.get(name), name, inputs),
      }),
      infer(inputs) {
        const active = [...slots.values()].filter((slot) => slot.active !== undefined)
        const [only, ...others] = active
        if (only !== undefined && others.length === 0) return infer(only, only.name, inputs)
        return Promise.reject(errors.MODEL_AMBIGUOUS({ models: active.map(({ name }) => name) }))
      },
      status,
      onChange(handler) {
        handlers.add(handler)
        return () => handlers.delete(handler)
      },
      flush,
      close() {
        closing ??= close()
        return closing
      },
    }
  } catch (error) {
    await unlock()
    throw error
  }
}

/** Resolves with the promise, or after this long without it. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}
