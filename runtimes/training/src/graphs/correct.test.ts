import { GraphBuilder, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, it } from 'vitest'
import { addCorrect } from './loss.js'
import { CORRECT } from './names.js'

// The first of the largest is the guess, also where all are alike.
const logits = Float32Array.of(1, 3, 2, 5, 5, 0, 0, 0, 0, 4, 4, 4)
const targets = Int32Array.of(1, 1, 0, 2)

it.each([[[]], [['ArgMax']]])('as many rows are right without an ArgMax: %j', async (without) => {
  const g = new GraphBuilder('correct', { without: new Set(without) })
  const scores = g.input('scores', 'float32', [null, 3])
  const wanted = g.input('wanted', 'int32', [null])
  const forward = { logits: scores, output: scores }
  g.output(CORRECT, addCorrect(g, 'softmaxCrossEntropy', forward, wanted, 'right')!)
  const session = await InferenceSession.create(writeModel(g.build()))
  const out = await session.run({
    scores: new Tensor('float32', logits, [4, 3]),
    wanted: new Tensor('int32', targets, [4]),
  })
  await session.release()
  expect(Number(out[CORRECT]?.data[0])).toBe(2)
})
