import { graphOf, readModel } from '@tideway/onnx'
import { cornersData, cornersJob } from '@tideway/test/contract/trainer'
import { decodeCheckpoint, trainableOf } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from './trainer.js'

describe('the checkpoint of an epoch', () => {
  const network = trainableOf(cornersJob.network)
  const trainer = createOnnxTrainer({ threads: 1 })
  const job = { ...cornersJob, epochs: 3 }
  const train = cornersData(60, 1)

  it('is freed once it has been taken, but the last one, which is that of the run', async () => {
    const taken: Uint8Array[] = []
    const onCheckpoint = async (bytes: Uint8Array) => {
      taken.push(bytes)
      expect(decodeCheckpoint(bytes, network).epoch).toBe(taken.length)
    }
    const { checkpoint, onnx } = await trainer.fit(job, { train, onCheckpoint })
    expect(taken.map(({ byteLength }) => byteLength > 0)).toEqual([false, false, true])
    expect(checkpoint).toBe(taken[2])
    const silent = await trainer.fit(job, { train })
    expect(Buffer.compare(silent.checkpoint, checkpoint)).toBe(0)
    expect(Buffer.compare(silent.onnx, onnx)).toBe(0)
  })

  it('holds the weights of the model that is written', async () => {
    const { checkpoint, onnx } = await trainer.fit(job, { train })
    const { parameters } = decodeCheckpoint(checkpoint, network)
    for (const { name, rawData } of graphOf(readModel(onnx)).initializer)
      expect(new Float32Array(Uint8Array.from(rawData ?? []).buffer), name).toEqual(parameters[name ?? ''])
    expect(Object.keys(parameters)).toHaveLength(4)
  })
})
