import type { NetworkJob, TrainData, Trainer, TrainJob, TrainProgress } from '@tideway/core'
import { codeOf } from '@tideway/core'
import { describe, expect, it } from 'vitest'

/** Two features, three classes in three corners, some noise: any classifier separates them. */
export function cornersData(rows: number, seed: number): TrainData {
  const centers = [
    [0, 2],
    [2, -1],
    [-2, -1],
  ] as const
  const random = seeded(seed)
  const inputs = new Float32Array(rows * 2)
  const targets = Int32Array.from({ length: rows }, (_, row) => row % 3)
  for (const [row, label] of targets.entries()) {
    for (const axis of [0, 1] as const)
      inputs[row * 2 + axis] = centers[label as 0 | 1 | 2][axis] + (random() + random() - 1) * 0.8
  }
  return {
    inputs: { dtype: 'float32', shape: [rows, 2], data: inputs },
    targets: { dtype: 'int32', shape: [rows], data: targets },
  }
}

/** y = 3a - 2b + 1, exactly. */
export function lineData(rows: number, seed: number): TrainData {
  const random = seeded(seed)
  const inputs = Float32Array.from({ length: rows * 2 }, () => random() * 2 - 1)
  const targets = Float32Array.from(
    { length: rows },
    (_, row) => 3 * (inputs[row * 2] ?? 0) - 2 * (inputs[row * 2 + 1] ?? 0) + 1,
  )
  return {
    inputs: { dtype: 'float32', shape: [rows, 2], data: inputs },
    targets: { dtype: 'float32', shape: [rows, 1], data: targets },
  }
}

/** A job for `cornersData`; 100 rows make a last batch of 4. */
export const cornersJob: NetworkJob = {
  network: {
    input: { name: 'x', shape: [2] },
    output: { name: 'probabilities' },
    layers: [
      { type: 'dense', units: 8, activation: 'tanh' },
      { type: 'dense', units: 3, activation: 'softmax' },
    ],
  },
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.02 },
  batchSize: 16,
  epochs: 12,
  seed: 7,
}

const lineJob: TrainJob = {
  network: { input: { name: 'x', shape: [2] }, output: { name: 'y' }, layers: [{ type: 'dense', units: 1 }] },
  loss: 'meanSquaredError',
  optimizer: { type: 'sgd', learningRate: 0.1, momentum: 0.5 },
  batchSize: 10,
  epochs: 40,
  seed: 3,
}

async function codeFrom(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
  } catch (error) {
    return codeOf(error)
  }
  return undefined
}

/** Enough steps to tell the classes apart; few, since some engines take long for each. */
const learning = { epochs: 6, optimizer: { type: 'adam', learningRate: 0.06 } } as const

/**
 * What every `Trainer` must do. An implementation's test calls this and adds what is special to it.
 *
 * @example
 * trainerContract('onnx', () => createOnnxTrainer({ threads: 1 }))
 */
export function trainerContract(name: string, makeTrainer: () => Trainer): void {
  const train = cornersData(100, 1)
  const validation = cornersData(60, 2)
  const fit = (job: Partial<TrainJob> = {}, context: Partial<Parameters<Trainer['fit']>[1]> = {}) =>
    makeTrainer().fit({ ...cornersJob, ...job }, { train, ...context })

  describe(`${name} as a trainer`, () => {
    it('learns classes that can be told apart, and says so in its metrics', async () => {
      const result = await fit(learning, { validation })
      expect(result.metrics['valAccuracy']).toBeGreaterThan(0.95)
      expect(result.metrics['loss']).toBeLessThan(0.4)
      expect(result.metrics['valLoss']).toBeLessThan(0.4)
      expect(result).toMatchObject({ epochs: 6, steps: 6 * 7 })
      expect(result.samplesPerSecond).toBeGreaterThan(0)
      expect(result.onnx.byteLength).toBeGreaterThan(0)
      expect(Object.keys(result.environment).length).toBeGreaterThan(0)
    })

    it('learns a regression to its exact line', async () => {
      const result = await makeTrainer().fit(lineJob, { train: lineData(95, 4), validation: lineData(40, 5) })
      expect(result.metrics['valLoss']).toBeLessThan(1e-4)
      expect(result.metrics['valAccuracy']).toBeUndefined()
    })

    it('gives the same bytes for the same seed, and others for another', async () => {
      const [one, same, other] = [await fit({ epochs: 2 }), await fit({ epochs: 2 }), await fit({ epochs: 2, seed: 8 })]
      expect(Buffer.compare(one.onnx, same.onnx)).toBe(0)
      expect(one.metrics).toEqual(same.metrics)
      expect(Buffer.compare(one.onnx, other.onnx)).not.toBe(0)
    })

    it('goes on from any epoch as if it had not stopped', async () => {
      const checkpoints: Uint8Array[] = []
      const whole = await fit({ epochs: 3 }, { onCheckpoint: async (bytes) => void checkpoints.push(bytes.slice()) })
      expect(checkpoints).toHaveLength(3)
      for (const [at, resumeFrom] of checkpoints.entries()) {
        const epochs: number[] = []
        const resumed = await fit(
          { epochs: 3 },
          { resumeFrom, onCheckpoint: async (_, epoch) => void epochs.push(epoch) },
        )
        expect(Buffer.compare(resumed.onnx, whole.onnx), `resumed after epoch ${at + 1}`).toBe(0)
        expect(resumed.metrics).toEqual(whole.metrics)
        expect(epochs).toEqual([2, 3].slice(at))
      }
    })

    it('goes on after it was stopped in the middle of an epoch', async () => {
      const whole = await fit({ epochs: 3 })
      const controller = new AbortController()
      let last = new Uint8Array()
      const stopped = fit(
        { epochs: 3 },
        {
          signal: controller.signal,
          onCheckpoint: async (bytes, epoch) => {
            last = bytes.slice()
            if (epoch === 2) setImmediate(() => controller.abort())
          },
        },
      )
      expect(await codeFrom(stopped)).toBe('TRAIN_ABORTED')
      const resumed = await fit({ epochs: 3 }, { resumeFrom: last })
      expect(Buffer.compare(resumed.onnx, whole.onnx)).toBe(0)
    })

    it('starts from the weights of another run, with epochs counted from 0', async () => {
      const first = await fit(learning)
      const more = await fit({ epochs: 1, seed: 9 }, { initializeFrom: first.checkpoint, validation })
      const fresh = await fit({ epochs: 1, seed: 9 }, { validation })
      expect(more.steps).toBe(7)
      expect(more.metrics['valLoss']).toBeLessThan((fresh.metrics['valLoss'] ?? 0) / 2)
    })

    it('stops at once for a signal that has fired', async () => {
      const reports: TrainProgress[] = []
      const stopped = fit({}, { signal: AbortSignal.abort(), onProgress: (progress) => reports.push(progress) })
      expect(await codeFrom(stopped)).toBe('TRAIN_ABORTED')
      expect(reports).toEqual([])
    })

    it('reports the end of each epoch, with its metrics, in order', async () => {
      const reports: TrainProgress[] = []
      await fit({ epochs: 3 }, { validation, onProgress: (progress) => reports.push(progress) })
      const ends = reports.filter((progress) => 'valLoss' in progress.metrics)
      expect(ends.map((progress) => [progress.epoch, progress.epochs, progress.step, progress.steps])).toEqual([
        [1, 3, 7, 21],
        [2, 3, 14, 21],
        [3, 3, 21, 21],
      ])
      for (const progress of ends) expect(Number.isFinite(progress.loss)).toBe(true)
    })

    it('waits for the checkpoint to be kept before it goes on', async () => {
      const events: string[] = []
      await fit(
        { epochs: 2 },
        {
          onCheckpoint: async (_, epoch) => {
            events.push(`keeping ${epoch}`)
            await new Promise((resolve) => setImmediate(resolve))
            events.push(`kept ${epoch}`)
          },
        },
      )
      expect(events).toEqual(['keeping 1', 'kept 1', 'keeping 2', 'kept 2'])
    })

    it('names every bad field of a job at once', async () => {
      const bad = fit({ batchSize: 0, epochs: 1.5, optimizer: { type: 'adam', learningRate: -1 } })
      await expect(bad).rejects.toMatchObject({ code: 'TRAIN_CONFIG_INVALID' })
      await expect(bad).rejects.toThrowError(/batchSize.*epochs|epochs.*batchSize/)
      await expect(bad).rejects.toThrowError(/learningRate/)
    })

    it('names every bad tensor at once', async () => {
      const inputs = { ...train.inputs, shape: [50, 4] } as TrainData['inputs']
      const targets = { dtype: 'int32' as const, shape: [49], data: new Int32Array(49).fill(3) }
      const bad = fit(
        {},
        {
          train: { inputs, targets },
          validation: { ...validation, targets: { ...targets, shape: [60], data: new Int32Array(60).fill(-1) } },
        },
      )
      await expect(bad).rejects.toMatchObject({ code: 'TRAIN_DATA_INVALID' })
      await expect(bad).rejects.toThrowError(/train\.inputs.*validation\.targets/)
    })

    it('refuses data without rows, and rows that are not finite', async () => {
      const none = {
        inputs: { dtype: 'float32', shape: [0, 2], data: new Float32Array(0) },
        targets: { dtype: 'int32', shape: [0], data: new Int32Array(0) },
      } as const
      expect(await codeFrom(fit({}, { train: none }))).toBe('TRAIN_DATA_INVALID')
      const broken = cornersData(100, 1)
      ;(broken.inputs.data as Float32Array)[5] = Number.NaN
      expect(await codeFrom(fit({}, { train: broken }))).toBe('TRAIN_DATA_INVALID')
    })

    it('stops when the loss is no number any more, naming the step', async () => {
      const wild = makeTrainer().fit(
        { ...lineJob, optimizer: { type: 'sgd', learningRate: 1e30 } },
        { train: lineData(95, 4) },
      )
      await expect(wild).rejects.toMatchObject({ code: 'LOSS_NOT_FINITE', data: { step: expect.any(Number) } })
    })

    it('refuses a checkpoint of another job or network, and bytes that are none', async () => {
      const { checkpoint } = await fit({ epochs: 1 })
      const wider = {
        ...cornersJob.network,
        layers: [{ type: 'dense' as const, units: 3, activation: 'softmax' as const }],
      }
      expect(await codeFrom(fit({ seed: 8 }, { resumeFrom: checkpoint }))).toBe('CHECKPOINT_MISMATCH')
      expect(await codeFrom(fit({ network: wider }, { resumeFrom: checkpoint }))).toBe('CHECKPOINT_MISMATCH')
      expect(await codeFrom(fit({ network: wider }, { initializeFrom: checkpoint }))).toBe('CHECKPOINT_MISMATCH')
      for (const bytes of [new Uint8Array(0), Uint8Array.of(1, 2, 3), checkpoint.subarray(0, checkpoint.length / 2)]) {
        expect(await codeFrom(fit({}, { resumeFrom: bytes }))).toBe('CHECKPOINT_MISMATCH')
      }
    })
  })
}

/** A small seeded generator (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
