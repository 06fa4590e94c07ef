import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { codeOf, type Tensor } from '@tideway/core'
import { findInitializer, graphOf, importModel, readModel, readModelFile } from '@tideway/onnx'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inferenceModel } from '../../runtimes/training/src/graphs/inference.js'
import { importTrainable } from '../../runtimes/training/src/imported/index.js'
import { descend, initialWeights, predict, seeded } from '../../runtimes/training/src/imported/train.fixture.js'

/** Sums of convolutions in another order than PyTorch's or TensorFlow's. */
const TOLERANCE = 1e-4

/** What each exporter needs (PyPI), and the Python that has it; the two rarely fit into one environment. */
const EXPORTERS = {
  torch: {
    python: process.env.TIDEWAY_PYTHON ?? 'python3',
    packages: 'torch onnx onnxscript',
    networks: ['mobilenet', 'resnet', 'lstm', 'transformer'].flatMap((name) =>
      ['', '-unfolded', '-fixed', '-dynamo', '-external'].map((form) => `torch-${name}${form}`),
    ),
  },
  keras: {
    python: process.env.TIDEWAY_PYTHON_KERAS ?? process.env.TIDEWAY_PYTHON ?? 'python3',
    packages: 'tensorflow-cpu tf2onnx',
    networks: ['mobilenet', 'resnet', 'lstm', 'transformer'].map((name) => `keras-${name}`),
  },
} as const

/** What is said of batch normalizations: 7 in the mobilenets (a stem, two blocks of 3), 2 in the resnets of PyTorch. */
const NOTES: readonly (readonly [RegExp, string])[] = [
  [/^torch-mobilenet(-fixed)?$/, '7 batch normalizations folded into convolutions by the exporter'],
  [/^torch-mobilenet-unfolded$/, '7 batch normalizations trained with the statistics of each batch'],
  [/^torch-resnet-unfolded$/, '2 batch normalizations trained'],
  [/^torch-.*-fixed$/, 'the file has a fixed batch of 1; here the batch is free'],
]

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-import-'))
})
afterAll(() => rm(dir, { recursive: true }))

interface Told {
  readonly rows: readonly number[]
  readonly shape: readonly number[]
  readonly outputs: readonly number[]
}

for (const [exporter, { python, packages, networks }] of Object.entries(EXPORTERS)) {
  describe(`networks that ${exporter} exports`, () => {
    const missing = new Map<string, string>()
    beforeAll(async () => {
      const script = fileURLToPath(new URL(`./export_${exporter}.py`, import.meta.url))
      try {
        const { stdout } = await promisify(execFile)(python, [script, dir], { maxBuffer: 2 ** 26 })
        for (const line of stdout.split('\n').filter((text) => text.startsWith('{"name"'))) {
          const { name, skipped } = JSON.parse(line) as { name: string; skipped?: string }
          if (skipped !== undefined) missing.set(name, skipped)
        }
      } catch (error) {
        const text = String((error as { stderr?: string }).stderr ?? error)
        if (!/ModuleNotFoundError|ENOENT/.test(text)) throw error
        for (const name of networks)
          missing.set(name, `not run: \`pip install ${packages}\` for ${python}, named by TIDEWAY_PYTHON`)
      }
    }, 600_000)

    for (const name of networks) {
      it(`${name}: gives equal outputs, and learns with its frozen half as it was`, async (context) => {
        const reason = missing.get(name)
        if (reason?.startsWith('not run')) context.skip(reason)
        expect(reason, 'the exporter could not').toBeUndefined()
        const onnx = await readFile(join(dir, `${name}.onnx`))
        const file = importModel(await readModelFile(onnx, { folder: dir }))
        if (name.endsWith('-external')) expect(codeFrom(() => importModel(onnx))).toBe('MODEL_EXTERNAL_DATA')
        const told = JSON.parse(await readFile(join(dir, `${name}.json`), 'utf8')) as Told
        const rows: Tensor = { dtype: 'float32', shape: told.shape, data: Float32Array.from(told.rows) }
        const whole = importTrainable(file)
        const before = initialWeights(whole)
        const shipped = await predict(inferenceModel(whole, before), { [whole.input.name]: rows })
        expect(worst(shipped[whole.output.name]?.values ?? [], told.outputs)).toBeLessThan(TOLERANCE)

        for (const [pattern, note] of NOTES)
          if (pattern.test(name)) expect(whole.notes).toContainEqual(expect.stringContaining(note))

        const half = whole.parameters.slice(0, whole.parameters.length >> 1).map((spec) => spec.name)
        const network = importTrainable(file, { freeze: half })
        const batch = told.shape[0] ?? 1
        const targets: Tensor =
          network.lastActivation === 'softmax'
            ? { dtype: 'int32', shape: [batch], data: Int32Array.from({ length: batch }, (_, at) => at % 4) }
            : {
                dtype: 'float32',
                shape: [batch, 4],
                data: Float32Array.from({ length: batch * 4 }, (_, at) => Math.sin(at)),
              }
        const { losses, weights } = await descend(network, rows, targets, { steps: 8, rate: 0.02 })
        expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0)
        const tuned = inferenceModel(network, weights)
        const stored = graphOf(readModel(tuned))
        for (const { name: weight, trainable } of network.parameters) {
          // In the file that is shipped, against the file that came.
          const same = Buffer.compare(
            findInitializer(stored, weight)?.rawData ?? new Uint8Array(0),
            bytesOf(file.tensors.get(weight)),
          )
          expect(same === 0, weight).toBe(!trainable)
        }
        const after = await predict(tuned, { [network.input.name]: rows })
        expect(after[network.output.name]?.values.every(Number.isFinite)).toBe(true)
      })
    }
  })
}

describe('files that were exported and then damaged', () => {
  it('give a coded error or a model, in little time and memory', async (context) => {
    const files = (await readdir(dir)).filter((name) => name.endsWith('.onnx'))
    if (files.length === 0) context.skip('not run: nothing was exported, see the tests above')
    const random = seeded(11)
    const codes = new Map<string, number>()
    let slowest = 0
    for (const name of files) {
      const bytes = await readFile(join(dir, name))
      for (let round = 0; round < 200; round++) {
        const damaged =
          round % 4 === 0 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : Uint8Array.from(bytes)
        // Names and shapes lie between the weights: a handful of bytes hits one now and then.
        for (let count = round % 4 === 0 ? 0 : 1 + (round % 8); count > 0; count--)
          damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256)
        const begin = performance.now()
        const code = codeFrom(() => importTrainable(damaged)) ?? 'a model'
        slowest = Math.max(slowest, performance.now() - begin)
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    console.info(
      `damaged files: ${JSON.stringify(Object.fromEntries(codes))}, the slowest took ${slowest.toFixed(0)} ms`,
    )
    expect(slowest).toBeLessThan(5000)
  })
})

/** The code with which something is refused; what has no code is thrown on. */
function codeFrom(work: () => unknown): string | undefined {
  try {
    work()
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    return code
  }
  return undefined
}

function worst(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY
  return Math.max(...theirs.map((value, at) => Math.abs(value - (ours[at] ?? Number.NaN))))
}

function bytesOf(tensor: Tensor | undefined): Uint8Array {
  const data = tensor?.data as Float32Array
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
