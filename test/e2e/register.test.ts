import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createQuantizer, floats, GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tideway, tidewayJson } from '../support/command.js'
import { FLEET, type Loop, START_MS, startLoop } from '../support/loop.js'

interface Registered {
  readonly version: { readonly version: number; readonly manifestDigest: string }
  readonly created: boolean
  readonly variants: readonly { readonly id: string }[]
  readonly metrics: Readonly<Record<string, number>>
}

const ROWS = 200
let folder: string
let loop: Loop

/** Which of two columns is larger. */
function larger(): Uint8Array {
  const g = new GraphBuilder('larger')
  const x = g.input('x', 'float32', [null, 2])
  const w = g.constant(floats('float32', [8, -8, -8, 8], [2, 2]))
  g.output('y', g.op('Softmax', [g.op('MatMul', [x, w])], { axis: -1n }))
  return writeModel(g.build())
}
const numbers = Float32Array.from({ length: 2 * ROWS }, (_, at) => Math.sin(1 + at * at * 0.3))
const isFirst = (row: number) => (numbers[2 * row] ?? 0) > (numbers[2 * row + 1] ?? 0)
const file = (name: string) => join(folder, name)
const register = (...args: string[]) => tidewayJson<Registered>(['register', ...args, '--cloud', loop.cloud.url])

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tideway-register-'))
  const x = { dtype: 'float32' as const, shape: [ROWS, 2], data: numbers }
  const float = larger()
  const recipe = { scheme: 'int8-dynamic', minElements: 1 } as const
  const small = await createQuantizer().quantize(float, { x }, createOnnxNodeRuntime(), recipe)
  const lines = Array.from(
    { length: ROWS },
    (_, row) => `${numbers[2 * row]},${numbers[2 * row + 1]},${isFirst(row) ? 'a' : 'b'}`,
  )
  await writeFile(file('larger.onnx'), float)
  await writeFile(file('larger.int8.onnx'), small.onnx)
  await writeFile(file('rows.csv'), ['a,b,kind', ...lines].join('\n'))
  loop = await startLoop({})
}, START_MS)
afterAll(async () => {
  await loop?.close()
  await rm(folder, { recursive: true, force: true })
})

describe('`tideway register`', () => {
  it('puts an ONNX file behind the cloud’s door and on a device, which checks its known answers', async () => {
    const { version, created, variants } = await register(file('larger.onnx'))
    expect({ created, number: version.version, ids: variants.map(({ id }) => id) }).toEqual({
      created: true,
      number: 1,
      ids: ['onnx-fp32'],
    })
    const { outputs } = await loop.client.infer('larger', {
      x: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 0) },
    })
    // softmax(8, -8)
    expect(outputs.y?.data[0]).toBeCloseTo(1 / (1 + Math.exp(-16)), 6)
    const device = await loop.device({ device: 'press-1' })
    await loop.client.deploy({ model: 'larger', version: 'latest', fleet: FLEET })
    const active = await device.untilModel('larger', ({ status }) => status === 'active')
    expect(active).toMatchObject({ version: 1, manifestDigest: version.manifestDigest })
    const [first = 0] = await device.infer('larger', Float32Array.of(0, 1))
    expect(first).toBeCloseTo(1 / (1 + Math.exp(16)), 6)
  })

  it('registers forms of one model with their scores under an alias of its own, which a canary is set to', async () => {
    const data = ['--data', file('rows.csv'), '--target', 'kind', '--alias', 'candidate']
    const { version, variants, metrics } = await register(file('larger.onnx'), file('larger.int8.onnx'), ...data)
    expect(variants).toHaveLength(2)
    expect(metrics['accuracy.fp32']).toBe(1)
    expect(metrics['accuracy.int8']).toBeGreaterThan(0.95)
    const { version: candidate, manifest } = await loop.client.version('larger', 'candidate')
    expect(candidate).toMatchObject(version)
    expect(manifest.classes).toEqual(['a', 'b'])
    expect((await loop.client.version('larger', 'latest')).version.version).toBe(1)
    const set = ['traffic', 'set', 'larger', '--stable', '1', '--canary', 'candidate', '--percent', '5']
    const canary = await tideway([...set, '--cloud', loop.cloud.url])
    expect([canary.code, canary.output]).toEqual([0, 'larger: version 2 answers 5% as a canary, version 1 the rest'])
  })

  it('says what is wrong, with nothing registered', async () => {
    await writeFile(file('broken.onnx'), 'no model')
    const { code, output } = await tideway(['register', file('broken.onnx'), '--cloud', loop.cloud.url])
    expect([code, output]).toEqual([1, expect.stringMatching(/^MODEL_INVALID: .*broken\.onnx/)])
    expect((await loop.client.models()).map(({ name }) => name)).not.toContain('broken')
  })
})
