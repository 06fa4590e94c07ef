import { type BlobRef, decodeTensors, type Recipe, type Session, type Tensor, type Tensors } from '@tideway/core'
import { createQuantizer, floats, GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { afterEach, describe, expect, it } from 'vitest'
import type { Artifacts } from './artifacts.js'
import { type OtherEngine, wasmEngine } from './engines.js'
import { storeKnownAnswers, testedRows } from './known-answers.js'
import type { Part } from './split.js'
import { webgpuEngine } from './webgpu.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const [FEATURES, UNITS, CLASSES, ROWS] = [32, 24, 5, 40]

/** Values between -1 and 1 that look random and are not. */
const wave = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i * i * 0.7))

/** softmax(relu(x · w1) · w2), as a float model. */
function classifier(): Uint8Array {
  const g = new GraphBuilder('classifier')
  const x = g.input('x', 'float32', [null, FEATURES])
  const w1 = g.initializer('w1', { dtype: 'float32', shape: [FEATURES, UNITS], data: wave(FEATURES * UNITS, 1) })
  const w2 = g.initializer('w2', { dtype: 'float32', shape: [UNITS, CLASSES], data: wave(UNITS * CLASSES, 2) })
  const hidden = g.op('Relu', [g.op('MatMul', [x, w1])])
  g.output('y', g.op('Softmax', [g.op('MatMul', [hidden, w2])], { axis: -1n }))
  return writeModel(g.build())
}

const part: Part = {
  inputs: { dtype: 'float32', shape: [ROWS, FEATURES], data: wave(ROWS * FEATURES, 3) },
  targets: { dtype: 'int32', shape: [ROWS], data: new Int32Array(ROWS) },
}
const float = classifier()

const open: Session[] = []
afterEach(async () => {
  for (const session of open.splice(0)) await session.dispose()
})
const load = async (onnx: Uint8Array) => {
  const session = await runtime.load(onnx)
  open.push(session)
  return session
}

/** The known answers of a recipe's variant, over these other engines. */
async function answersOf(recipe: Recipe | undefined, others: readonly OtherEngine[]) {
  const blobs: Uint8Array[] = []
  const unable: string[] = []
  const artifacts = {
    async putBlob(bytes: Uint8Array): Promise<BlobRef> {
      blobs.push(bytes)
      return { sha256: 'a'.repeat(64), size: bytes.byteLength, chunks: [] }
    },
  } as Partial<Artifacts> as Artifacts
  const onnx = recipe ? (await createQuantizer().quantize(float, { x: part.inputs }, runtime, recipe)).onnx : float
  const floatSession = await load(float)
  const stored = await storeKnownAnswers(artifacts, {
    variant: recipe ? await load(onnx) : floatSession,
    file: onnx,
    float: floatSession,
    ...testedRows(floatSession, part),
    engine: runtime.name,
    others,
    onUnable: (engine, reason) => unable.push(`${engine}: ${reason}`),
  })
  return { stored, unable, blob: decodeTensors(blobs[0]!) as { inputs: Tensors; outputs: Tensors }, onnx }
}

const shifted = (by: number): OtherEngine => ({
  name: `shifted by ${by}`,
  async run(model, inputs) {
    const { y } = await (await load(model)).run(inputs)
    return { y: { ...y, data: (y!.data as Float32Array).map((value) => value + by) } } as Tensors
  },
})

describe('the tolerance of known answers', () => {
  it('is that of float sums for a float model on which engines agree', async () => {
    const { stored, unable, blob } = await answersOf(undefined, [(await wasmEngine())!])
    expect(unable).toEqual([])
    expect(stored).toMatchObject({ rows: 8, tolerance: 1e-3, top1Margin: 2e-3, toleranceCause: { kind: 'rounding' } })
    const { engines } = stored.toleranceCause!
    expect(Object.keys(engines)).toEqual(['onnx-node', 'onnx-wasm'])
    expect(engines['onnx-wasm']).toBeLessThan(1e-6)
    expect([blob.inputs['x']?.shape, blob.outputs['y']?.shape]).toEqual([
      [8, FEATURES],
      [8, CLASSES],
    ])
  })

  it("is the quantization's own error where that is greater, for every scheme, and covers WebAssembly", async () => {
    const wasm = (await wasmEngine())!
    for (const scheme of ['int8-static', 'int8-dynamic', 'int8-weights', 'int4-weights', 'fp16'] as const) {
      const { stored, unable, blob, onnx } = await answersOf({ scheme, minElements: 1 } as Recipe, [wasm])
      expect(unable).toEqual([])
      expect(stored.toleranceCause?.engines['onnx-wasm'], scheme).toBeLessThanOrEqual(stored.tolerance / 2)
      expect(stored.toleranceCause?.kind, scheme).toBe(scheme === 'fp16' ? 'rounding' : 'quantization')
      const { y } = await wasm.run(onnx, blob.inputs)
      const differences = Array.from(y!.data as Float32Array, (value, i) =>
        Math.abs(value - Number(blob.outputs['y']!.data[i])),
      )
      expect(Math.max(...differences)).toBeLessThanOrEqual(stored.tolerance)
    }
  })

  it('is twice the distance of engines where they lie further apart than that, and says between which', async () => {
    const { stored } = await answersOf(undefined, [shifted(0.004), shifted(0.002)])
    expect(stored.tolerance).toBeCloseTo(0.008, 6)
    expect(stored.toleranceCause?.kind).toBe('engines')
    expect(stored.toleranceCause?.engines['shifted by 0.004']).toBeCloseTo(0.004, 6)
    expect(stored.toleranceCause?.engines['shifted by 0.002']).toBeCloseTo(0.002, 6)
  })

  it('is taken without an engine that computes wrongly or answers with NaN, which is said', async () => {
    const { stored, unable } = await answersOf(undefined, [shifted(0.125), shifted(Number.NaN)])
    expect(unable).toEqual([
      'shifted by 0.125: its answers (y) are 0.125 off, above 0.0100',
      'shifted by NaN: its answers (y) are NaN off, above 0.0100',
    ])
    expect(stored).toMatchObject({ tolerance: 1e-3, toleranceCause: { kind: 'rounding', engines: { 'onnx-node': 0 } } })
  })

  it('is taken without an engine that cannot run the variant, which is said', async () => {
    const broken: OtherEngine = {
      name: 'broken',
      run: () => Promise.reject(new Error('no kernel for MatMulNBits\nat x')),
    }
    const { stored, unable } = await answersOf({ scheme: 'int4-weights', minElements: 1 }, [broken])
    expect(unable).toEqual(['broken: no kernel for MatMulNBits'])
    expect(stored.toleranceCause?.engines).toEqual({ 'onnx-node': 0 })
  })
})

describe('known answers of several outputs', () => {
  /** Probabilities of 0 to 1, their class, and thousands. */
  function several(): Uint8Array {
    const g = new GraphBuilder('several')
    const x = g.input('x', 'float32', [null, FEATURES])
    const w = g.initializer('w', { dtype: 'float32', shape: [FEATURES, CLASSES], data: wave(FEATURES * CLASSES, 2) })
    const sums = g.op('MatMul', [x, w])
    g.output('class', g.op('ArgMax', [sums], { axis: 1n, keepdims: 0n }))
    g.output('share', g.op('Softmax', [sums], { axis: -1n }))
    g.output('large', g.op('Mul', [sums, g.constant(floats('float32', [1000], []))]))
    return writeModel(g.build())
  }

  /** A model that answers what it does, but for one output. */
  const changed = (session: Session, name: string, by: (value: number) => number): Session => ({
    signature: session.signature,
    async run(inputs) {
      const outputs = await session.run(inputs)
      const { dtype, shape, data } = outputs[name]!
      const numbers = Array.from(data as ArrayLike<number | bigint>, (value) => by(Number(value)))
      const other = dtype === 'int64' ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers)
      return { ...outputs, [name]: { dtype, shape, data: other } as Tensor }
    },
    dispose: async () => undefined,
  })
  const keep = {
    putBlob: async () => ({ sha256: 'a'.repeat(64), size: 1, chunks: [] }),
  } as Partial<Artifacts> as Artifacts
  const of = async (variant: Session, float: Session) =>
    storeKnownAnswers(keep, {
      variant,
      file: new Uint8Array(),
      float,
      ...testedRows(float, part),
      engine: 'one',
      others: [],
      onUnable: () => {},
    })

  it('have a tolerance each: of a class none that another output has, and of thousands a share of them', async () => {
    const session = await load(several())
    const { tolerance, tolerances, top1Margin } = await of(session, session)
    expect(tolerances).toMatchObject({ class: 1e-3 * 4, share: 1e-3 })
    expect(tolerances!['large']).toBeGreaterThan(1)
    expect([tolerance, top1Margin]).toEqual([tolerances!['large'], 2 * tolerances!['large']!])
  })

  it('let a class that quantizing changed say nothing of how far the numbers may be off', async () => {
    const session = await load(several())
    const { tolerances } = await of(
      changed(session, 'class', (value) => (value + 1) % CLASSES),
      session,
    )
    expect(tolerances!['class']).toBeGreaterThanOrEqual(1)
    expect(tolerances!['share']).toBe(1e-3)
  })

  it('are refused where a variant answers in another shape than the float model', async () => {
    const session = await load(several())
    const other: Session = {
      ...session,
      signature: session.signature,
      run: async (inputs) => ({
        ...(await session.run(inputs)),
        share: { dtype: 'float32', shape: [1], data: new Float32Array(1) },
      }),
    }
    await expect(of(other, session)).rejects.toMatchObject({
      code: 'ANSWERS_NOT_COMPARABLE',
      data: { output: 'share', shape: '[1]', other: `[8, ${CLASSES}]` },
    })
  })
})

describe('known answers that are not finite', () => {
  it.each([
    ['Log', 'NaN', 2],
    ['Exp', 'Infinity', 1],
  ])('are refused, naming output and row (%s)', async (operator, value, row) => {
    const g = new GraphBuilder('beyond')
    const x = g.input('x', 'float32', [null, FEATURES])
    g.output(
      'y',
      g.op(operator, [g.op('Mul', [x, g.constant(floats('float32', Array(FEATURES).fill(100), [FEATURES]))])]),
    )
    const onnx = writeModel(g.build())
    const data = new Float32Array(ROWS * FEATURES).fill(1)
    if (operator === 'Log') data[FEATURES] = -1
    const session = await load(onnx)
    const answering = {
      variant: session,
      file: onnx,
      float: session,
      ...testedRows(session, { ...part, inputs: { ...part.inputs, data } }),
      engine: runtime.name,
      others: [],
      onUnable: () => {},
    }
    const artifacts = {} as Artifacts
    await expect(storeKnownAnswers(artifacts, answering)).rejects.toMatchObject({
      code: 'ANSWERS_NOT_FINITE',
      data: { issues: [`output "y" is ${value} for row ${row}`] },
    })
  })
})

describeWithGpu('known answers on WebGPU', () => {
  it('agree within the tolerance for a float model, and WebGPU is left out where it lacks an operator', async () => {
    const engine = webgpuEngine({ software: true })!
    const { stored, unable } = await answersOf(undefined, [engine])
    expect(unable).toEqual([])
    expect(stored.toleranceCause?.engines['onnx-webgpu']).toBeLessThan(1e-5)
    const small = await answersOf({ scheme: 'int8-dynamic', minElements: 1 }, [engine])
    expect(small.unable).toEqual([expect.stringMatching(/^onnx-webgpu: .*no kernel for some operators/)])
    expect(small.stored.toleranceCause?.engines).toEqual({ 'onnx-node': 0 })
  })

  it('are taken without it where it does not answer in time', async () => {
    const { unable } = await answersOf(undefined, [webgpuEngine({ mostMs: 1, software: true })!])
    expect(unable).toEqual(['onnx-webgpu: it took more than 0.001 s'])
  })
})
