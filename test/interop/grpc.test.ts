import { createHost, definePlugin, type Host, type Serving, tokens } from '@tideway/core'
import { serverGrpc } from '@tideway/server-grpc'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { echoServing, specOf } from '../support/echo-serving.js'
import { type Checks, checksOf, python } from './python.js'
import { type SameModels, startSameModels } from './same-models.js'

let models: SameModels | undefined
let echo: Host | undefined
let results: Checks

beforeAll(async () => {
  models = await startSameModels()
  echo = await startEcho()
  const addresses = [models.grpcUrl, models.httpUrl, String(echo.get(tokens.grpcServer).url)]
  // Needs `tritonclient[http,grpc]` and numpy.
  results = await checksOf(python, 'triton_grpc.py', addresses)
})
afterAll(async () => {
  await echo?.stop()
  await models?.stop()
})

/** A process whose one model takes any of these inputs, and a second for the one that is slow. */
async function startEcho(): Promise<Host> {
  const serving = echoServing()
  const inputs = [specOf('a', 'int8'), specOf('b', 'int8'), specOf('bf', 'bfloat16'), specOf('slow', 'int8')]
  const chosen: Serving = {
    ...serving,
    async infer(model, version, tensors, context) {
      if (Object.hasOwn(tensors, 'slow')) await new Promise((resolve) => setTimeout(resolve, 1_000))
      serving.takes(...inputs.filter(({ name }) => Object.hasOwn(tensors, name)))
      return serving.infer(model, version, tensors, context)
    },
  }
  const models = definePlugin({
    name: 'echo',
    provides: [tokens.serving],
    register: (scope) => scope.provide(tokens.serving, () => chosen),
  })
  const host = createHost()
  host.use(models(), serverGrpc({ port: 0 }))
  await host.start()
  return host
}

it.each([
  'types in raw contents',
  'types value by value',
  'BF16',
  'NaN and infinities',
  'no rows and many',
  'outputs by name in their order',
  'compressed requests',
  'many at once',
  'its client on asyncio',
  'a stream',
  'health and metadata',
  'configuration',
  'the model repository',
  'statistics that are those of HTTP',
  'a deadline',
  'what is refused',
])("Triton's client finds right: %s", (check) => {
  expect(results).toHaveProperty([check], null)
})
