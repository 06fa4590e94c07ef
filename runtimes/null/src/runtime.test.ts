import type { Signature, Tensor } from '@tideway/core'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { describe, expect, it } from 'vitest'
import { createNullRuntime } from './runtime.js'
import { encodeSignature } from './signature.js'

const signature: Signature = {
  inputs: [
    { name: 'x', dtype: 'float32', shape: [null, 3] },
    { name: 'id', dtype: 'int64', shape: [null] },
  ],
  outputs: [
    { name: 'y', dtype: 'float32', shape: [null, 2] },
    { name: 'label', dtype: 'string', shape: [null] },
    { name: 'state', dtype: 'uint8', shape: [4] },
  ],
}

const floats = (shape: number[], value: number): Tensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
})

const caseOf = (batch: number) => ({
  inputs: {
    x: floats([batch, 3], 7),
    id: { dtype: 'int64', shape: [batch], data: new BigInt64Array(batch) } satisfies Tensor,
  },
  outputs: {
    y: floats([batch, 2], 0),
    label: { dtype: 'string', shape: [batch], data: Array.from({ length: batch }, () => '') } satisfies Tensor,
    state: { dtype: 'uint8', shape: [4], data: new Uint8Array(4) } satisfies Tensor,
  },
})

runtimeContract('null', {
  create: createNullRuntime,
  model: encodeSignature(signature),
  signature,
  cases: [caseOf(1), caseOf(5)],
})

describe('the null runtime', () => {
  it('names every bad field of a signature', async () => {
    const bad = { inputs: [{ name: 1, dtype: 'float31', shape: [-1] }], outputs: 'none' }
    const bytes = new TextEncoder().encode(JSON.stringify(bad))
    const error: unknown = await createNullRuntime()
      .load(bytes)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'MODEL_INVALID' })
    const { reason } = (error as { data: { reason: string } }).data
    for (const field of ['inputs.0.name', 'inputs.0.dtype', 'inputs.0.shape.0', 'outputs']) {
      expect(reason).toContain(field)
    }
  })

  it('refuses two inputs of one name', async () => {
    const spec = { name: 'x', dtype: 'float32', shape: [1] } as const
    const loading = createNullRuntime().load(encodeSignature({ inputs: [spec, spec], outputs: [spec] }))
    await expect(loading).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('takes free dimensions of outputs as 1 when no input has one', async () => {
    const fixed: Signature = {
      inputs: [{ name: 'x', dtype: 'float32', shape: [3] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
    }
    const session = await createNullRuntime().load(encodeSignature(fixed))
    expect(await session.run({ x: floats([3], 1) })).toEqual({ y: floats([1, 2], 0) })
  })
})
