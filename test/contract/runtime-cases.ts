import type { LoadOptions, Runtime, Session, Signature, Tensor, Tensors } from '@tideway/core'
import { check, checkClose, checkRejects, checkSame } from './check.js'

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

export type RuntimeTest = keyof typeof RUNTIME_TITLES

export const RUNTIME_TITLES = {
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

/** What a case works with. */
interface Bench {
  readonly subject: RuntimeSubject
  readonly first: RuntimeSubject['cases'][number]
  readonly second: RuntimeSubject['cases'][number]
  /** Loads the subject's model, or other bytes; the session is disposed of behind the case. */
  readonly load: (bytes?: Uint8Array, options?: LoadOptions) => Promise<Session>
}

/** Runs one case of the suite, anywhere; throws when it does not hold. */
export async function runRuntimeCase(id: RuntimeTest, subject: RuntimeSubject): Promise<void> {
  const [first, second] = subject.cases
  if (first === undefined || second === undefined) throw new Error('the runtime contract needs two cases')
  const open: Session[] = []
  const runtime = subject.create()
  const load: Bench['load'] = async (bytes = subject.model, options) => {
    const session = await runtime.load(bytes, options)
    open.push(session)
    return session
  }
  try {
    await CASES[id]({ subject, first, second, load })
  } finally {
    await Promise.all(open.map((session) => session.dispose()))
  }
}

const CASES: Readonly<Record<RuntimeTest, (bench: Bench) => Promise<void>>> = {
  async flags({ subject, first, load }) {
    const { flags, name } = subject.create()
    check(name !== '', 'the runtime has no name')
    for (const list of [flags.formats, flags.providers, flags.precisions])
      check(list.length > 0 && new Set(list).size === list.length, `a flag lists ${list.join(', ') || 'nothing'}`)
    const session = await load(subject.model, { provider: flags.providers[0] })
    checkClose(await session.run(first.inputs), first.outputs, subject.tolerance)
  },

  async signature({ subject, load }) {
    checkSame((await load()).signature, subject.signature, 'the signature')
  },

  async values({ subject, load }) {
    const session = await load()
    for (const { inputs, outputs } of subject.cases) checkClose(await session.run(inputs), outputs, subject.tolerance)
  },

  async inputsKept({ first, load }) {
    const session = await load()
    const before = structuredClone(first.inputs)
    await session.run(first.inputs)
    checkClose(first.inputs, before)
  },

  async bytesFree({ subject, first, load }) {
    const bytes = subject.model.slice()
    const session = await load(bytes)
    bytes.fill(0xff)
    checkClose(await session.run(first.inputs), first.outputs, subject.tolerance)
  },

  async outputsOwned({ subject, first, second, load }) {
    const session = await load()
    const outputs = await session.run(first.inputs)
    await session.run(second.inputs)
    await session.run(first.inputs)
    checkClose(outputs, first.outputs, subject.tolerance)
  },

  async inputErrors({ subject, first, load }) {
    const session = await load()
    for (const [input, bad] of badInputs(first.inputs)) {
      const { issues } = (await checkRejects(session.run(bad), 'INPUT_INVALID')) as { issues: string[] }
      check(issues.length === 1 && issues[0]!.startsWith(`${input}: `), `issues of ${input}: ${issues.join('; ')}`)
    }
    const bad = { unknown1: anyTensor, unknown2: anyTensor }
    const { issues } = (await checkRejects(session.run(bad), 'INPUT_INVALID')) as { issues: string[] }
    const named = new Set(issues.map((issue) => issue.split(':', 1)[0] ?? ''))
    const wanted = [...Object.keys(first.inputs), 'unknown1', 'unknown2']
    checkSame([...named].toSorted(), wanted.toSorted(), 'the list of named inputs')
    checkClose(await session.run(first.inputs), first.outputs, subject.tolerance)
  },

  async bytesErrors({ subject, load }) {
    const half = subject.model.subarray(0, subject.model.length >> 1)
    for (const bytes of [new Uint8Array(0), new TextEncoder().encode('not a model'), half, new Uint8Array(4096)])
      await checkRejects(load(bytes), 'MODEL_INVALID')
  },

  async providerErrors({ subject }) {
    const loading = subject.create().load(subject.model, { provider: 'no-such-provider' })
    const { provider, available } = await checkRejects(loading, 'PROVIDER_UNAVAILABLE')
    checkSame([provider, available], ['no-such-provider', subject.create().flags.providers], 'what the error tells')
  },

  async concurrent({ subject, first, load }) {
    const session = await load()
    const wanted = Array.from({ length: 32 }, (_, i) => subject.cases[i % subject.cases.length] ?? first)
    const answers = await Promise.all(wanted.map(({ inputs }) => session.run(inputs)))
    for (const [i, { outputs }] of wanted.entries()) checkClose(answers[i] ?? {}, outputs, subject.tolerance)
  },

  async disposeWaits({ subject, first, second, load }) {
    const session = await load()
    const order: string[] = []
    const runs = [first, second, first].map(async ({ inputs, outputs }) => {
      checkClose(await session.run(inputs), outputs, subject.tolerance)
      order.push('run')
    })
    const disposed = session.dispose().then(() => order.push('disposed'))
    await checkRejects(session.run(first.inputs), 'SESSION_DISPOSED')
    await Promise.all([...runs, disposed])
    checkSame(order, ['run', 'run', 'run', 'disposed'], 'the order of ends')
    await checkRejects(session.run(first.inputs), 'SESSION_DISPOSED')
  },

  async disposeTwice({ load }) {
    const session = await load()
    await Promise.all([session.dispose(), session.dispose()])
    await session.dispose()
  },

  async independent({ subject, first, load }) {
    const [one, other] = await Promise.all([load(), load()])
    await one.dispose()
    checkClose(await other.run(first.inputs), first.outputs, subject.tolerance)
  },
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
