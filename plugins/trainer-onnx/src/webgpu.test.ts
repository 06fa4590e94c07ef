import type { OptimizerConfig, TrainedModel } from '@tideway/core'
import { trainerContract } from '@tideway/test/contract/trainer'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { Tensor } from 'onnxruntime-node'
import { describe, expect, it, vi } from 'vitest'
import { jobOf, wavesFor } from './providers/jobs.fixture.js'
import { createOnnxTrainer } from './trainer.js'

const cpu = createOnnxTrainer({ threads: 1 })
const gpu = createOnnxTrainer({ provider: 'webgpu' })

const optimizers: readonly OptimizerConfig[] = [
  { type: 'sgd', learningRate: 0.05, momentum: 0.9 },
  { type: 'adam', learningRate: 0.01 },
  { type: 'adamw', learningRate: 0.01, weightDecay: 0.01, globalClipNorm: 1, accumulate: 2, ema: { momentum: 0.9 } },
]
/** Float32 sums in another order, for losses of order one. SwiftShader is off by 1e-7; GPUs fuse products with sums. */
const TOLERANCE = 1e-4

describeWithGpu('training on WebGPU', () => {
  trainerContract('trainer-onnx on webgpu', () => gpu)

  describe.each(['dense', 'convolutional'] as const)('a %s network', (name) => {
    it.each(optimizers)('has the losses of the CPU with $type over 20 steps', async (optimizer) => {
      const data = { train: wavesFor(name), validation: wavesFor(name, 21) }
      const [here, there] = [await cpu.fit(jobOf(name, optimizer), data), await gpu.fit(jobOf(name, optimizer), data)]
      expect(there.environment['provider']).toBe('webgpu')
      expect(there.notes).toEqual(["trained on ONNX Runtime's webgpu"])
      for (const [at, metrics] of there.history.entries())
        for (const [metric, value] of Object.entries(metrics))
          expect(Math.abs(value - here.history[at]![metric]!), `${metric} of epoch ${at + 1}`).toBeLessThan(TOLERANCE)
      expect(there.history.at(-1)!['loss']).toBeLessThan(there.history[0]!['loss']!)
    })
  })

  it('holds the tensors of one step, and those of losses to be read, also after 1,000 steps', async () => {
    let live = 0
    const fromGpuBuffer = Tensor.fromGpuBuffer.bind(Tensor)
    const counted = vi.spyOn(Tensor, 'fromGpuBuffer').mockImplementation((buffer, options) => {
      live += 1
      const dispose = (options as { dispose: () => void }).dispose
      const less = function (this: unknown): void {
        live -= 1
        dispose.call(this)
      }
      return fromGpuBuffer(buffer, { ...options, dispose: less } as never) as never
    })
    const most: number[] = []
    try {
      await gpu.fit(jobOf('dense', { type: 'adam', learningRate: 0.001 }, 1), {
        train: wavesFor('dense', 8 * 1000),
        onProgress: () => most.push(live),
      })
    } finally {
      counted.mockRestore()
    }
    // One slot with two states, and the losses of the steps that were not read yet.
    expect(Math.max(...most)).toBeLessThanOrEqual(3 + 8)
    expect(Math.max(...most)).toBeGreaterThanOrEqual(3)
    expect(live).toBe(0)
  })

  it('is refused with the operators that have no kernel, unless the CPU may help, which notes say', async () => {
    const job = jobOf('recurrent', { type: 'sgd', learningRate: 0.05 }, 2)
    const train = wavesFor('recurrent')
    const refused = gpu.fit(job, { train })
    await expect(refused).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE', data: { provider: 'webgpu' } })
    await expect(refused).rejects.toThrow(/no kernel for .*Scan.*webgpu\+cpu/)
    const helped = await gpu.fit(job, { train, provider: 'webgpu+cpu' })
    expect(helped.notes?.join()).toMatch(/ran on the CPU all the same: .*Scan/)
    const told: string[] = []
    const fallback = { to: ['cpu'], onFallback: ({ from, to }: { from: string; to: string }) => told.push(from, to) }
    const moved = await createOnnxTrainer({ provider: 'webgpu', fallback }).fit(job, { train })
    expect(told).toEqual(['webgpu', 'cpu'])
    expect(moved.environment['provider']).toBe('cpu')
    expect(moved.notes?.join()).toMatch(/trained on ONNX Runtime's cpu; not on webgpu: it has no kernel for .*Scan/)
    expect(Math.abs(helped.metrics['loss']! - moved.metrics['loss']!)).toBeLessThan(TOLERANCE)
  })

  it('is refused where a kernel is wrong, before the first step', async () => {
    // The input gradient of a depthwise convolution with a multiplier, in ONNX Runtime 1.30: once it is right this job trains.
    const job = jobOf('multiplied', { type: 'sgd', learningRate: 0.05 }, 1)
    const reports: unknown[] = []
    const onProgress = (progress: unknown) => reports.push(progress)
    const refused = gpu.fit(job, { train: wavesFor('multiplied'), onProgress })
    await expect(refused).rejects.toThrow(/a kernel of it is wrong: after one step .* is not what it is on the CPU/)
    expect(reports).toEqual([])
  })

  it('goes on from a checkpoint of the CPU, and says that it was one', async () => {
    const train = wavesFor('convolutional')
    const job = jobOf('convolutional', { type: 'adam', learningRate: 0.01 }, 2)
    const first = await cpu.fit({ ...job, epochs: 1 }, { train })
    const [whole, moved]: TrainedModel[] = [
      await cpu.fit(job, { train }),
      await gpu.fit(job, { train, resumeFrom: first.checkpoint }),
    ]
    expect(moved!.notes?.join()).toContain('provider was cpu and is webgpu')
    expect(Math.abs(moved!.metrics['loss']! - whole!.metrics['loss']!)).toBeLessThan(TOLERANCE)
  })
})
