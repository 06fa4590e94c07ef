import { cornersData, cornersJob } from '@tideway/test/contract/trainer'
import { describe, expect, it } from 'vitest'
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.js'
import { trainableOf } from './layers/index.js'
import { freeing } from './release.js'
import { createOnnxTrainer } from './trainer.js'
import { initialValues } from './weights.js'

/** Two tensors in each array, as small parameters lie, and one that has an array of its own. */
function tensors() {
  const shared = Float32Array.from({ length: 10 }, (_, at) => at)
  const other = Float32Array.from({ length: 6 }, (_, at) => -at)
  return {
    parameters: { a: shared.subarray(0, 4), kept: Float32Array.of(7, 8), b: shared.subarray(4) },
    state: { a_m: other.subarray(0, 2), b_m: other.subarray(2) },
    statistics: { mean: Float32Array.of(1, 2, 3) },
  }
}

const rest = { job: 'job', epoch: 1, step: 2, rows: 3, history: [{ loss: 1 }], environment: { threads: 1 } }

describe('a checkpoint whose tensors are spent', () => {
  it('has the same bytes, and leaves nothing but what is still needed', () => {
    const given = tensors()
    const bytes = encodeCheckpoint({ ...rest, ...given }, (name) => name !== 'kept')
    expect(Buffer.compare(bytes, encodeCheckpoint({ ...rest, ...tensors() }))).toBe(0)
    expect(given.parameters.kept).toEqual(Float32Array.of(7, 8))
    for (const part of [given.state, given.statistics])
      for (const tensor of Object.values(part)) expect(tensor).toHaveLength(0)
    expect(given.parameters.a).toHaveLength(0)
  })

  it('frees an array when the tensor behind its last one is taken', () => {
    const given = tensors()
    const { parts, end } = freeing(given, () => true)
    expect(parts.parameters['b']).toEqual(Float32Array.of(4, 5, 6, 7, 8, 9))
    expect(parts.parameters['a']).toEqual(Float32Array.of(0, 1, 2, 3))
    expect(given.parameters.b).toHaveLength(6)
    expect(parts.statistics['mean']).toHaveLength(3)
    expect(given.parameters.b).toHaveLength(0)
    expect(given.state.a_m).toHaveLength(2)
    end()
    expect(given.statistics.mean).toHaveLength(0)
  })

  it('frees no array in which something lies that is kept', () => {
    const given = tensors()
    encodeCheckpoint({ ...rest, ...given }, (name) => name !== 'b')
    expect(given.parameters.a).toHaveLength(4)
  })
})

describe('the checkpoint of an epoch', () => {
  const network = trainableOf(cornersJob.network)

  it('is freed once it has been taken, but the last one, which is that of the run', async () => {
    const taken: Uint8Array[] = []
    const train = cornersData(60, 1)
    const onCheckpoint = async (bytes: Uint8Array) => {
      expect(decodeCheckpoint(bytes, network).epoch).toBe(taken.length + 1)
      taken.push(bytes)
    }
    const job = { ...cornersJob, epochs: 3 }
    const trainer = createOnnxTrainer({ threads: 1 })
    const { checkpoint, onnx } = await trainer.fit(job, { train, onCheckpoint })
    expect(taken.map(({ byteLength }) => byteLength > 0)).toEqual([false, false, true])
    expect(checkpoint).toBe(taken[2])
    const silent = await trainer.fit(job, { train })
    expect(Buffer.compare(silent.checkpoint, checkpoint)).toBe(0)
    expect(Buffer.compare(silent.onnx, onnx)).toBe(0)
    expect(Object.keys(decodeCheckpoint(checkpoint, network).parameters).sort()).toEqual(
      Object.keys(initialValues(network, 1)).sort(),
    )
  })
})
