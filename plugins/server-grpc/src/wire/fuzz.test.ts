import { status } from '@grpc/grpc-js'
import { codeOf, tensorIssues } from '@tideway/core'
import { echoServing } from '@tideway/test/support/echo-serving'
import { seedSpecs } from '@tideway/test/support/fuzz-tensors'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { GRPCInferenceService } from '../generated/inference_pb.js'
import { readInfer } from '../methods/infer.js'
import { type Rig, refusalOf, startRig } from '../rig.fixture.js'
import { encodeAnswer } from './answer.js'
import { decodeRequest } from './decode.js'
import { fuzzMessage, seeds } from './fuzz.fixture.js'

const DECODED = 100_000
const OVER_GRPC = 3_000
/** Milliseconds for one message of at most some hundred bytes; a slow machine needs a few. */
const NO_HANG_MS = 2_000
const REFUSALS: ReadonlySet<unknown> = new Set(['GRPC_MESSAGE_INVALID', 'INPUT_REJECTED', 'INPUT_INVALID'])

const serving = echoServing()
let rig: Rig
beforeAll(async () => {
  rig = await startRig({ serving })
})
afterAll(() => rig?.stop())

/** What comes of reading it: `taken`, or the code of the refusal. What a host may rely on is checked here. */
function read(message: Uint8Array): unknown {
  try {
    const request = decodeRequest(readInfer(message))
    for (const tensor of Object.values(request.inputs)) {
      const issues = tensorIssues(tensor, { dtype: tensor.dtype, shape: tensor.shape })
      if (issues.length > 0) return issues
    }
    if (!request.outputs) encodeAnswer({ model: 'm', version: '1', outputs: request.inputs }, request)
    return 'taken'
  } catch (error) {
    return codeOf(error) ?? error
  }
}

it('takes the seeds of the mutations as they are', () => {
  for (const seed of seeds) expect(read(seed)).toBe('taken')
})

it(`reads or refuses ${DECODED} mutated messages, and nothing else happens`, () => {
  const outcomes = new Map<unknown, number>()
  for (let number = 0; number < DECODED; number++) {
    const message = fuzzMessage(number)
    const began = performance.now()
    const outcome = read(message)
    if (outcome !== 'taken' && !REFUSALS.has(outcome)) expect.fail(`message ${number}: ${String(outcome)}`)
    if (performance.now() - began > NO_HANG_MS) expect.fail(`message ${number} took too long`)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  // Mutations that none or all of survive would test little.
  for (const outcome of ['taken', 'GRPC_MESSAGE_INVALID', 'INPUT_REJECTED'])
    expect(outcomes.get(outcome), String(outcome)).toBeGreaterThan(DECODED / 50)
})

it(`answers ${OVER_GRPC} of them over gRPC, to whatever method they go, and the process goes on`, async () => {
  serving.takes(...seedSpecs.slice(0, 1))
  const unary = GRPCInferenceService.methods.filter(({ methodKind }) => methodKind === 'unary')
  const { modelInfer } = GRPCInferenceService.method
  // It would unload the model.
  const others = unary.filter(({ name }) => name !== 'ModelInfer' && name !== 'RepositoryModelUnload')
  const allowed = new Set([status.INVALID_ARGUMENT, status.NOT_FOUND, status.UNIMPLEMENTED])
  const LANES = 8
  let refused = 0
  const lane = async (first: number) => {
    for (let number = first; number < OVER_GRPC; number += LANES) {
      const method = number % 3 === 0 ? others[number % others.length]! : modelInfer
      const call = rig.bytes(`/${GRPCInferenceService.typeName}/${method.name}`, fuzzMessage(number))
      const isTaken = await call.then(
        () => true,
        () => false,
      )
      if (isTaken) continue
      const { code, details, tidewayCode } = await refusalOf(call)
      if (!allowed.has(code) || tidewayCode === undefined) expect.fail(`message ${number}: ${status[code]} ${details}`)
      refused++
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)))
  expect(refused).toBeGreaterThan(OVER_GRPC / 5)
  expect(refused).toBeLessThan(OVER_GRPC)
  expect(await rig.call(GRPCInferenceService.method.serverLive, {})).toMatchObject({ live: true })
})
