import { readFileSync } from 'node:fs'
import { codeOf, type TidewayError } from '@tideway/core'
import { unzipSync, zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { trainableOf } from '../layers/index.js'
import { distance, run } from '../layers/run.fixture.js'
import { fromKerasFile } from './file.js'
import { readHdf5 } from './hdf5.js'

/** One model, saved by Keras itself in each of its formats, with rows and outputs (files.fixture.py). */
const files = unzipSync(readFileSync(new URL('./files.fixture.zip', import.meta.url)))
const bytesOf = (name: string): Uint8Array => files[name]!
interface Told {
  readonly model: unknown
  readonly output: readonly number[]
}
const told = JSON.parse(Buffer.from(bytesOf('told.json')).toString()) as {
  readonly rows: readonly number[]
  readonly keras2: Told
  readonly keras3: Told
}

async function refusal(work: Promise<unknown>): Promise<{ code: string | undefined; issues: string }> {
  const error: unknown = await work.then(
    () => new Error('nothing was refused'),
    (cause: unknown) => cause,
  )
  return { code: codeOf(error), issues: String((error as TidewayError).data?.['issues'] ?? error) }
}

describe('a Keras model from a file', () => {
  it.each([
    ['keras3.keras', 'keras3', false],
    ['keras3.h5', 'keras3', false],
    ['keras3.weights.h5', 'keras3', true],
    ['keras2.keras', 'keras2', false],
    ['keras2.h5', 'keras2', false],
    ['keras2-weights.h5', 'keras2', true],
  ] as const)("gives Keras's output: %s", async (name, version, isWeights) => {
    const { model, output } = told[version]
    const { network, weights } = await fromKerasFile(bytesOf(name), isWeights ? { json: model } : {})
    const found = await run(trainableOf(network), weights, { batch: 2, data: Float32Array.from(told.rows) })
    // float32 in both; sums are taken in another order.
    expect(distance(found.output, output)).toBeLessThan(1e-5)
  })

  it('is read alike from a packed archive', async () => {
    const packed = zipSync(unzipSync(bytesOf('keras3.keras')), { level: 9 })
    expect(packed.byteLength).toBeLessThan(bytesOf('keras3.keras').byteLength / 2)
    const [plain, other] = [await fromKerasFile(bytesOf('keras3.keras')), await fromKerasFile(packed)]
    expect(other).toEqual(plain)
    expect(plain.weights.size).toBeGreaterThan(20)
  })

  it('needs the JSON beside weights alone', async () => {
    for (const name of ['keras3.weights.h5', 'keras2-weights.h5'])
      expect(await refusal(fromKerasFile(bytesOf(name)))).toEqual({
        code: 'KERAS_FILE_INVALID',
        issues: "it holds weights alone: give the model's JSON as well",
      })
  })

  it('names the tensors that are not in it', async () => {
    const wide = JSON.parse(
      JSON.stringify(told.keras3.model).replace('"units":3,"activation":"relu"', '"units":4,"activation":"relu"'),
    )
    expect(await refusal(fromKerasFile(bytesOf('keras3.weights.h5'), { json: wide }))).toMatchObject({
      code: 'KERAS_WEIGHTS_INVALID',
      issues: expect.stringContaining('narrow/kernel: [4, 3], not [4, 4]'),
    })
  })
})

describe('a file that is no Keras model', () => {
  const entries = unzipSync(bytesOf('keras3.keras'))
  const { 'config.json': config = new Uint8Array(), 'model.weights.h5': weights = new Uint8Array() } = entries
  const invalid = (issue: string | RegExp) => ({ code: 'KERAS_FILE_INVALID', issues: expect.stringMatching(issue) })

  it.each<[string, Uint8Array, string | RegExp]>([
    ['nothing', new Uint8Array(), 'neither a .keras archive nor HDF5'],
    ['text', Buffer.from('{"class_name": "Sequential"}'), 'neither a .keras archive nor HDF5'],
    ['an archive cut short', bytesOf('keras3.keras').subarray(0, 40_000), 'the archive is damaged'],
    ['an archive without weights', zipSync({ 'config.json': config }), 'model.weights.h5 is missing'],
    [
      'an archive of something else',
      zipSync({ 'a.txt': config }),
      'config.json is missing,model.weights.h5 is missing',
    ],
    [
      'JSON that is none',
      zipSync({ 'config.json': Buffer.from('{'), 'model.weights.h5': weights }),
      'config.json is no JSON',
    ],
    ['weights that are no HDF5', zipSync({ 'config.json': config, 'model.weights.h5': config }), 'no HDF5 file'],
    ['HDF5 cut short', bytesOf('keras3.h5').subarray(0, 30_000), /no HDF5 file, or a damaged one/],
  ])('is refused: %s', async (_, bytes, issue) => {
    expect(await refusal(fromKerasFile(bytes))).toEqual(invalid(issue))
  })

  it('is refused beyond the limit, as a file, unpacked, and by the shapes that its tensors have', async () => {
    const zeros = zipSync({ 'config.json': config, 'model.weights.h5': new Uint8Array(3_000_000) }, { level: 9 })
    expect(zeros.byteLength).toBeLessThan(100_000)
    const limit = { maxBytes: 100_000 }
    expect(await refusal(fromKerasFile(zeros, limit))).toEqual(
      invalid('model.weights.h5 has 3000000 bytes; the limit is 100000'),
    )
    expect(await refusal(fromKerasFile(bytesOf('keras3.h5'), { maxBytes: 1000 }))).toEqual(invalid('the limit is 1000'))
    expect(await refusal(readHdf5(bytesOf('keras3.h5'), { maxBytes: 1000 }))).toEqual(
      invalid('its tensors have more than 1000 bytes'),
    )
  })

  it('ends what takes too long, and what breaks the library', async () => {
    const program = (text: string) => new URL(`data:text/javascript,${encodeURIComponent(text)}`)
    const work = (text: string, timeoutMs?: number) =>
      readHdf5(weights, { maxBytes: 1e6, timeoutMs, entry: program(text) })
    expect(await refusal(work('for (;;);', 500))).toEqual(invalid('reading it took more than 500 ms'))
    expect(await refusal(work('throw new WebAssembly.RuntimeError("unreachable")'))).toEqual(invalid('unreachable'))
    expect(await refusal(work('process.exit(3)'))).toEqual(invalid('ended with code 3'))
  })

  it('says what to install where the reader is missing', async () => {
    const entry = new URL(
      `data:text/javascript,${encodeURIComponent("import { parentPort } from 'node:worker_threads'; parentPort.postMessage({ missing: 'h5wasm' })")}`,
    )
    const { code, issues } = await refusal(readHdf5(weights, { maxBytes: 1e6, entry }))
    expect([code, issues]).toEqual(['KERAS_READER_MISSING', expect.stringContaining('npm install h5wasm')])
  })

  it('is read or refused with a code, whatever bytes of it are damaged', async () => {
    let state = 7
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state % below
    }
    for (const damage of [1, 10, 200]) {
      const bytes = bytesOf('keras3.h5').slice()
      for (let at = 0; at < damage; at += 1) bytes[random(bytes.length)] = random(256)
      const code = await fromKerasFile(bytes, { maxBytes: 1e7 }).then(
        () => 'read',
        (error: unknown) => codeOf(error) ?? String(error),
      )
      expect(['read', 'KERAS_FILE_INVALID', 'KERAS_WEIGHTS_INVALID', 'KERAS_UNSUPPORTED', 'INPUT_REJECTED']).toContain(
        code,
      )
    }
  })
})
