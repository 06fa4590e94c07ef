import { GraphBuilder, writeModel } from '@tideway/onnx'
import { describe, expect, it } from 'vitest'
import { madeUpInputs } from './made-up.js'
import { runtime } from './register.fixture.js'

describe('made-up inputs', () => {
  it.each(['float32', 'float16', 'int64', 'bool'] as const)(
    'of %s differ from row to row, the same each time',
    async (dtype) => {
      const g = new GraphBuilder('as-it-is')
      g.output('y', g.op('Identity', [g.input('x', dtype, [null, 16])]))
      const session = await runtime.load(writeModel(g.build()))
      const { x } = await madeUpInputs(session)
      expect(x!.shape).toEqual([8, 16])
      const rows = Array.from({ length: 8 }, (_, row) =>
        (x!.data as Float32Array).slice(16 * row, 16 * row + 16).join(),
      )
      expect(new Set(rows).size).toBe(8)
      expect(await madeUpInputs(session)).toEqual({ x })
      await session.dispose()
    },
  )
})
