import { codeOf, type Runtime, type Session, type Signature, type Tensor, type Tensors } from '@tideway/core'
import { afterEach, describe, expect, it } from 'vitest'

/** What a runtime is tried on: a model whose behaviour is known. */
export interface RuntimeSubject {
  create(): Runtime
  /** Bytes that the runtime loads; every input has a free first dimension. */
  readonly model: Uint8Array
  readonly signature: Signature
  /** At least two, with different batch sizes. */
  readonly cases: readonly { readonly inputs: Tensors; readonly outputs: Tensors }[]
  /** Largest difference allowed in an output value; 0 if left out. */
  readonly tolerance?: number
  /** Tests that this implementation cannot pass, each with its reason. */
  readonly exceptions?: Readonly<Partial<Record<RuntimeTest, string>>>
}

export type RuntimeTest = keyof typeof TITLES

const TITLES = {
  flags: 'says what it can load and where it can run it',
  signature: 'reads the signature from the model',
  values: 'answers the known outputs, at every batch size',
  inputsKept: 'leaves the inputs as they were',
  bytesFree: 'keeps no hold on the bytes that it was given',
  outputsOwned: 'answers each run with outputs of its own',
  inputErrors: 'refuses bad inputs with INPUT_INVALID naming each of them',
  bytesErrors: 'refuses bytes that are no model with MODEL_INVALID',
  providerErrors: 'refuses a provider that is not there with PROVIDER_UNAVAILABLE',
  concurrent: 'runs concurrently, each run with its own answer',
  disposeWaits: 'lets runs in flight end when it is disposed, then refuses with SESSION_DISPOSED',
  disposeTwice: 'can be disposed twice, also at once',
  independent: 'keeps sessions independent of one another',
} as const

/** The suite that every `Runtime` runs; a runtime's own test file is a call to it and what is special about it. */
export function runtimeContract(name: string, subject: RuntimeSubject): void {
  const { signature, cases } = subject
  const [first, second] = cases
  if (first === undefined || second === undefined) throw new Error('runtimeContract needs two cases')
  const open: Session[] = []
  const load = async (bytes = subject.model): Promise<Session> => {
    const session = await subject.create().load(bytes)
    open.push(session)
    return session
  }
  const test = (id: RuntimeTest, body: () => Promise<void>) => {
    const exception = subject.exceptions?.[id]
    if (exception === undefined) it(TITLES[id], body)
    else it.skip(`${TITLES[id]} (not here: ${exception})`, body)
  }

  describe(`runtime contract: ${name}`, () => {
    afterEach(async () => {
      await Promise.all(open.splice(0).map((session) => session.dispose()))
    })

    test('flags', async () => {
      const { flags, name: own } = subject.create()
      expect(own).not.toBe('')
      for (const list of [flags.formats, flags.providers, flags.precisions]) {
        expect(list.length).toBeGreaterThan(0)
        expect(new Set(list).size).toBe(list.length)
      }
      const session = await subject.create().load(subject.model, { provider: flags.providers[0] })
      open.push(session)
      expectClose(await session.run(first.inputs), first.outputs, subject.tolerance)
    })

    test('signature', async () => {
      expect((await load()).signature).toEqual(signature)
    })

    test('values', async () => {
      const session = await load()
      for (const { inputs, outputs } of cases) expectClose(await session.run(inputs), outputs, subject.tolerance)
    })

    test('inputsKept', async () => {
      const session = await load()
      const before = structuredClone(first.inputs)
      await session.run(first.inputs)
      expect(first.inputs).toEqual(before)
    })

    test('bytesFree', async () => {
      const bytes = subject.model.slice()
      const session = await load(bytes)
      bytes.fill(0xff)
      expectClose(await session.run(first.inputs), first.outputs, subject.tolerance)
    })

    test('outputsOwned', async () => {
      const session = await load()
      const outputs = await session.run(first.inputs)
      await session.run(second.inputs)
      await session.run(first.inputs)
      expectClose(outputs, first.outputs, subject.tolerance)
    })

    test('inputErrors', async () => {
      const session = await load()
      for (const [input, bad] of badInputs(first.inputs)) {
        const error = await session.run(bad).catch((thrown: unknown) => thrown)
        expect(codeOf(error), input).toBe('INPUT_INVALID')
        const { issues } = (error as { data: { issues: string[] } }).data
        expect(issues).toHaveLength(1)
        expect(issues[0]?.startsWith(`${input}: `), issues[0]).toBe(true)
      }
      const error = await session.run({ unknown1: anyTensor, unknown2: anyTensor }).catch((thrown: unknown) => thrown)
      const { issues } = (error as { data: { issues: string[] } }).data
      const named = new Set(issues.map((issue) => issue.split(':')[0]))
      expect(named).toEqual(new Set([...Object.keys(first.inputs), 'unknown1', 'unknown2']))
      expectClose(await session.run(first.inputs), first.outputs, subject.tolerance)
    })

    test('bytesErrors', async () => {
      const half = subject.model.subarray(0, subject.model.length >> 1)
      for (const bytes of [new Uint8Array(0), new TextEncoder().encode('not a model'), half, new Uint8Array(4096)]) {
        await expect(load(bytes)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
      }
    })

    test('providerErrors', async () => {
      const loading = subject.create().load(subject.model, { provider: 'no-such-provider' })
      await expect(loading).rejects.toMatchObject({
        code: 'PROVIDER_UNAVAILABLE',
        data: { provider: 'no-such-provider', available: subject.create().flags.providers },
      })
    })

    test('concurrent', async () => {
      const session = await load()
      const wanted = Array.from({ length: 32 }, (_, i) => cases[i % cases.length] ?? first)
      const answers = await Promise.all(wanted.map(({ inputs }) => session.run(inputs)))
      for (const [i, { outputs }] of wanted.entries()) expectClose(answers[i] ?? {}, outputs, subject.tolerance)
    })

    test('disposeWaits', async () => {
      const session = await load()
      const order: string[] = []
      const runs = [first, second, first].map(async ({ inputs, outputs }) => {
        expectClose(await session.run(inputs), outputs, subject.tolerance)
        order.push('run')
      })
      const disposed = session.dispose().then(() => order.push('disposed'))
      await expect(session.run(first.inputs)).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
      await Promise.all([...runs, disposed])
      expect(order).toEqual(['run', 'run', 'run', 'disposed'])
      await expect(session.run(first.inputs)).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
    })

    test('disposeTwice', async () => {
      const session = await load()
      await Promise.all([session.dispose(), session.dispose()])
      await expect(session.dispose()).resolves.toBeUndefined()
    })

    test('independent', async () => {
      const runtime = subject.create()
      const [one, other] = await Promise.all([runtime.load(subject.model), runtime.load(subject.model)])
      open.push(other)
      await one.dispose()
      expectClose(await other.run(first.inputs), first.outputs, subject.tolerance)
    })
  })
}

const anyTensor: Tensor = { dtype: 'float32', shape: [1], data: new Float32Array(1) }

/** Each way of handing over one bad input, as [its name, all inputs]. */
function* badInputs(good: Tensors): Generator<[string, Tensors]> {
  yield ['unknown', { ...good, unknown: anyTensor }]
  for (const [name, tensor] of Object.entries(good)) {
    yield [name, Object.fromEntries(Object.entries(good).filter(([other]) => other !== name))]
    const replace = (change: object): [string, Tensors] => [
      name,
      { ...good, [name]: { ...tensor, ...change } as Tensor },
    ]
    yield replace({ dtype: 'int16', data: new Int16Array(tensor.data.length) })
    yield replace({ data: Array.from({ length: tensor.data.length }, () => 0) })
    yield replace({ shape: [...tensor.shape, 1] })
    yield replace({ shape: tensor.shape.map((size, axis) => (axis === 0 ? -size : size)) })
    yield replace({ shape: tensor.shape.map((size, axis) => (axis === 0 ? size + 0.5 : size)) })
    yield replace({ shape: tensor.shape.map((size, axis) => (axis === 0 ? size + 1 : size)) })
    yield replace({ shape: undefined })
    yield [name, { ...good, [name]: null as unknown as Tensor }]
  }
}

function expectClose(actual: Tensors, expected: Tensors, tolerance = 0): void {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort())
  for (const [name, want] of Object.entries(expected)) {
    const got = actual[name]
    expect(got?.dtype).toBe(want.dtype)
    expect(got?.shape).toEqual(want.shape)
    expect(got?.data.length).toBe(want.data.length)
    expect(got?.data.constructor).toBe(want.data.constructor)
    for (let i = 0; i < want.data.length; i++) {
      const [a, b] = [got?.data[i], want.data[i]]
      if (typeof b === 'number') expect(Math.abs(Number(a) - b), `${name}[${i}]`).toBeLessThanOrEqual(tolerance)
      else expect(a, `${name}[${i}]`).toBe(b)
    }
  }
}
