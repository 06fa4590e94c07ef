import { codeOf, type QuantizeOptions, type Quantizer, type Runtime, type Tensor, type Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'

/** What a quantizer is tried on. */
export interface QuantizerSubject {
  create(): Quantizer
  readonly options: QuantizeOptions
  readonly runtime: Runtime
  /** A float model of one float32 input, some thousand weights in two layers or more. */
  readonly model: Uint8Array
  /** A model without anything that could become smaller. */
  readonly empty: Uint8Array
  /** Representative rows, and others to judge by. */
  readonly calibration: Tensors
  readonly others: Tensors
  /** The largest difference to the float model's outputs, as a share of their largest. */
  readonly tolerance: number
  /** Whether value ranges are taken from rows: `{}` is refused then. */
  readonly calibrates: boolean
  /** Tests that this implementation cannot pass, each with its reason. */
  readonly exceptions?: Readonly<Partial<Record<QuantizerTest, string>>>
}

export type QuantizerTest = keyof typeof TITLES

const TITLES = {
  smaller: 'gives a smaller file with the signature of the float model',
  near: 'answers what the float model answers, within the tolerance, on rows it has not seen',
  names: 'says what became smaller, and of everything else why not',
  same: 'gives the same bytes for the same model and rows',
  inputsKept: 'leaves the model and the rows as they were',
  twice: 'refuses a model that is quantized already with MODEL_ALREADY_QUANTIZED',
  bytesErrors: 'refuses bytes that are no model with MODEL_INVALID',
  nothing: 'refuses a model without anything to make smaller with QUANTIZE_NOTHING',
  rowsErrors: 'refuses bad rows with CALIBRATION_INVALID naming each of them',
} as const

/**
 * The suite that every `Quantizer` runs; a quantizer's own test is a call to it and what is special about it.
 *
 * @example
 * quantizerContract('int8', { create: createInt8Quantizer, options: { precision: 'int8' }, ...subject })
 */
export function quantizerContract(name: string, subject: QuantizerSubject): void {
  const { model, calibration, runtime, options, others } = subject
  const quantize = (bytes = model, rows = calibration) => subject.create().quantize(bytes, rows, runtime, options)
  const answers = async (bytes: Uint8Array): Promise<Tensors> => {
    const session = await runtime.load(bytes)
    try {
      return await session.run(others)
    } finally {
      await session.dispose()
    }
  }
  const signatureOf = async (bytes: Uint8Array) => {
    const session = await runtime.load(bytes)
    await session.dispose()
    return session.signature
  }
  const codeFrom = (work: Promise<unknown>): Promise<string | undefined> =>
    work.then(
      () => undefined,
      (error: unknown) => codeOf(error),
    )
  const test = (id: QuantizerTest, body: () => Promise<void>) => {
    const exception = subject.exceptions?.[id]
    if (exception === undefined) it(TITLES[id], body)
    else it.skip(`${TITLES[id]} (not here: ${exception})`, body)
  }

  describe(`quantizer contract: ${name}`, () => {
    test('smaller', async () => {
      const { onnx } = await quantize()
      expect(onnx.byteLength).toBeLessThan(model.byteLength)
      expect(await signatureOf(onnx)).toEqual(await signatureOf(model))
    })

    test('near', async () => {
      const [float, small] = [await answers(model), await answers((await quantize()).onnx)]
      for (const [output, wanted] of Object.entries(float)) {
        const values = Array.from(wanted.data as ArrayLike<number>)
        const peak = Math.max(...values.map(Math.abs))
        const given = small[output]?.data as ArrayLike<number>
        const apart = Math.max(...values.map((value, at) => Math.abs(value - (given[at] ?? Number.NaN))))
        expect(apart / peak, output).toBeLessThanOrEqual(subject.tolerance)
        // It is rounded: a copy of the float model would not differ at all.
        expect(apart, output).toBeGreaterThan(0)
      }
    })

    test('names', async () => {
      const { quantized, kept, precision } = await quantize()
      expect(quantized.length).toBeGreaterThan(0)
      for (const { node, reason } of kept) {
        expect(quantized).not.toContain(node)
        expect(reason).not.toBe('')
      }
      if ('precision' in options) expect(precision).toBe(options.precision)
    })

    test('same', async () => {
      expect((await quantize()).onnx).toEqual((await quantize()).onnx)
    })

    test('inputsKept', async () => {
      const [bytes, rows] = [model.slice(), structuredClone(calibration)]
      await quantize()
      expect(model).toEqual(bytes)
      expect(calibration).toEqual(rows)
    })

    test('twice', async () => {
      const { onnx } = await quantize()
      expect(await codeFrom(quantize(onnx))).toBe('MODEL_ALREADY_QUANTIZED')
    })

    test('bytesErrors', async () => {
      for (const bytes of [new Uint8Array(0), new TextEncoder().encode('not a model'), model.subarray(0, 40)])
        expect(await codeFrom(quantize(bytes))).toBe('MODEL_INVALID')
    })

    test('nothing', async () => {
      expect(await codeFrom(quantize(subject.empty))).toBe('QUANTIZE_NOTHING')
    })

    test('rowsErrors', async () => {
      for (const [name, rows] of Object.entries(badRows(calibration))) {
        const error = await quantize(model, rows).catch((thrown: unknown) => thrown)
        expect(codeOf(error), name).toBe('CALIBRATION_INVALID')
        const { issues } = (error as { data: { issues: string[] } }).data
        expect(
          issues.some((issue) => issue.startsWith(`${Object.keys(calibration)[0]}: `)),
          issues.join(),
        ).toBe(true)
      }
      if (subject.calibrates) expect(await codeFrom(quantize(model, {}))).toBe('CALIBRATION_INVALID')
    })
  })
}

/** Each way of handing over one bad set of rows. */
function badRows(good: Tensors): Record<string, Tensors> {
  const [name = '', tensor] = Object.entries(good)[0] ?? []
  if (tensor === undefined) throw new Error('quantizerContract needs calibration rows')
  const data = tensor.data as Float32Array
  const [, ...row] = tensor.shape
  const spoiled = (value: number): Tensor => {
    const copy = data.slice()
    copy[copy.length >> 1] = value
    return { ...tensor, data: copy } as Tensor
  }
  return {
    'no rows': { [name]: { ...tensor, shape: [0, ...row], data: data.slice(0, 0) } as Tensor },
    'a row that is not a number': { [name]: spoiled(Number.NaN) },
    'a row that is infinite': { [name]: spoiled(Number.POSITIVE_INFINITY) },
    'rows of another shape': { [name]: { ...tensor, shape: [...tensor.shape, 1] } as Tensor },
    'rows of another type': { [name]: { ...tensor, dtype: 'float64', data: Float64Array.from(data) } as Tensor },
  }
}
