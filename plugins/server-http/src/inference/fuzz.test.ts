import { codeOf, decodeInferRequest, encodeInferAnswer, tensorIssues } from '@tideway/core'
import { echoServing } from '@tideway/test/support/echo-serving'
import { seedSpecs } from '@tideway/test/support/fuzz-tensors'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApp } from '../app.js'
import { type Rig, startRig } from '../rig.fixture.js'
import { type FuzzRequest, fuzzRequest, seeds } from './fuzz.fixture.js'

const DECODED = 100_000
const IN_PROCESS = 10_000
const OVER_HTTP = 3_000
/** Milliseconds for one request of at most some hundred bytes; a slow machine needs a few. */
const NO_HANG_MS = 2_000

const REFUSALS: ReadonlySet<unknown> = new Set(['JSON_INVALID', 'INPUT_REJECTED', 'INPUT_INVALID'])
const serving = echoServing()
const signature = { inputs: seedSpecs.slice(0, 1), outputs: [] }
let rig: Rig

beforeAll(async () => {
  rig = await startRig({ serving })
})
afterAll(() => rig?.stop())

/** What comes of reading it: `taken`, or the code of the refusal. What a host may rely on is checked here. */
function read({ body, header }: FuzzRequest): unknown {
  const headerBytes = header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined
  try {
    const request = decodeInferRequest(body, headerBytes, signature)
    for (const tensor of Object.values(request.inputs)) {
      const issues = tensorIssues(tensor, { dtype: tensor.dtype, shape: tensor.shape })
      if (issues.length > 0) return issues
    }
    if (!request.outputs) encodeInferAnswer({ model: 'm', version: '1', outputs: request.inputs }, request)
    return 'taken'
  } catch (error) {
    return codeOf(error) ?? error
  }
}

it('takes the seeds of the mutations as they are', async () => {
  serving.takes(...seedSpecs)
  for (const seed of seeds) expect(read(seed)).toBe('taken')
})

it(`reads or refuses ${DECODED} mutated requests, and nothing else happens`, () => {
  const outcomes = new Map<unknown, number>()
  for (let number = 0; number < DECODED; number++) {
    const request = fuzzRequest(number)
    const began = performance.now()
    const outcome = read(request)
    if (outcome !== 'taken' && !REFUSALS.has(outcome)) expect.fail(`request ${number}: ${String(outcome)}`)
    if (performance.now() - began > NO_HANG_MS) expect.fail(`request ${number} took too long`)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  // Mutations that none or all of survive would test little.
  for (const outcome of ['taken', 'JSON_INVALID', 'INPUT_REJECTED'])
    expect(outcomes.get(outcome), String(outcome)).toBeGreaterThan(DECODED / 50)
})

async function answerTo(send: (request: Request) => Response | Promise<Response>, url: string, number: number) {
  const { body, header } = fuzzRequest(number)
  const headers = { 'Content-Type': 'application/json', ...(header && { 'Inference-Header-Content-Length': header }) }
  const response = await send(new Request(`${url}/v2/models/echo/infer`, { method: 'POST', headers, body }))
  const text = await response.text()
  if (response.status === 200) return 'taken'
  const { code, error } = JSON.parse(text) as { code: unknown; error: unknown }
  if (response.status !== 400 || !REFUSALS.has(code) || typeof error !== 'string')
    expect.fail(`request ${number}: ${response.status} ${text}`)
  return code
}

it(`answers ${IN_PROCESS} of them in process with 200 or a coded 400`, async () => {
  serving.takes(...seedSpecs.slice(0, 1))
  const app = createApp({ serving })
  const outcomes = new Set<unknown>()
  for (let number = 0; number < IN_PROCESS; number++)
    outcomes.add(await answerTo((request) => app.fetch(request), 'http://localhost', number))
  expect(outcomes).toEqual(new Set(['taken', ...REFUSALS]))
})

it(`answers ${OVER_HTTP} of them over HTTP, and the process goes on`, async () => {
  serving.takes(...seedSpecs.slice(0, 1))
  const LANES = 8
  const lane = async (first: number) => {
    for (let number = first; number < OVER_HTTP; number += LANES) await answerTo(fetch, rig.url, number)
  }
  await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)))
  expect((await rig.call('GET', '/v2/health/live')).body).toEqual({ live: true })
})
