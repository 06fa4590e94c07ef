import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LayerConfig, type LossConfig, type Recipe, SCHEMES, type Tensor } from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Python with the PyPI packages `onnx` and `onnxruntime`; TIDEWAY_PYTHON names another than `python3`. */
const python = process.env.TIDEWAY_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('./check.py', import.meta.url))
/** Two builds of one engine on one machine: only the order of sums may differ. */
const TOLERANCE = 1e-5
const ROWS = 256
const WIDTH = 6

const runtime = createOnnxNodeRuntime()
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-interop-'))
})
afterAll(() => rm(dir, { recursive: true }))

function wave(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7) * 2 + Math.cos(i * 0.31))
}

const inputs = { dtype: 'float32', shape: [ROWS, WIDTH], data: wave(ROWS * WIDTH) } as const

async function trained(layers: readonly LayerConfig[], loss: LossConfig, targets: Tensor): Promise<Uint8Array> {
  const network = { input: { name: 'x', shape: [WIDTH] }, output: { name: 'y' }, layers }
  const optimizer = { type: 'adam', learningRate: 0.01 } as const
  const job = { network, loss, optimizer, batchSize: 32, epochs: 3, seed: 1 }
  return (await createOnnxTrainer().fit(job, { train: { inputs, targets } })).onnx
}

/** What the Python packages say of a model, and what our runtime says. */
async function both(name: string, onnx: Uint8Array): Promise<{ theirs: number[][]; ours: number[] }> {
  const model = join(dir, `${name}.onnx`)
  await writeFile(model, onnx)
  const rows = Array.from({ length: 16 }, (_, i) => Array.from(inputs.data.subarray(i * WIDTH, (i + 1) * WIDTH)))
  const input = `${JSON.stringify({ model, inputs: { x: rows } })}\n`
  const answer = JSON.parse(execFileSync(python, [script], { input, encoding: 'utf8' })) as {
    outputs?: { y: number[][] }
    error?: string
  }
  if (!answer.outputs) throw new Error(answer.error)
  const session = await runtime.load(onnx)
  const { y } = await session.run({ x: { dtype: 'float32', shape: [16, WIDTH], data: Float32Array.from(rows.flat()) } })
  await session.dispose()
  return { theirs: answer.outputs.y, ours: Array.from(y!.data as Float32Array) }
}

describe('the Python packages onnx and onnxruntime', () => {
  const classes: Tensor = { dtype: 'int32', shape: [ROWS], data: Int32Array.from({ length: ROWS }, (_, i) => i % 3) }
  const values: Tensor = { dtype: 'float32', shape: [ROWS, 1], data: wave(ROWS) }
  const cases: Record<string, [readonly LayerConfig[], LossConfig, Tensor]> = {
    classifier: [
      [
        { type: 'normalization' },
        { type: 'dense', units: 32, activation: 'relu' },
        { type: 'dense', units: 3, activation: 'softmax' },
      ],
      'softmaxCrossEntropy',
      classes,
    ],
    regressor: [
      [
        { type: 'rescaling', scale: 0.5 },
        { type: 'dense', units: 16, activation: 'tanh' },
        { type: 'dense', units: 1 },
      ],
      'meanSquaredError',
      values,
    ],
  }
  for (const [name, [layers, loss, targets]] of Object.entries(cases)) {
    it(`find nothing wrong with a ${name} and give its outputs, float and in every scheme`, async () => {
      const float = await trained(layers, loss, targets)
      const made: Record<string, Uint8Array> = { float }
      for (const scheme of SCHEMES) {
        const recipe = {
          scheme,
          ...(scheme.startsWith('int') && scheme !== 'int8-static' && { minElements: 1 }),
        } as Recipe
        made[scheme] = (await createQuantizer().quantize(float, { x: inputs }, runtime, recipe)).onnx
      }
      for (const [form, onnx] of Object.entries(made)) {
        const { theirs, ours } = await both(`${name}.${form}`, onnx)
        const worst = Math.max(...theirs.flat().map((value, i) => Math.abs(value - ours[i]!)))
        expect(worst, form).toBeLessThan(TOLERANCE)
      }
    })
  }
})
