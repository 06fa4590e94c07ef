import { type Listener, listen, optionsSchema } from '@tideway/server-http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { echoServing, specOf } from '../support/echo-serving.js'
import { type Checks, checksOf, python } from './python.js'
import { type SameModels, startSameModels } from './same-models.js'

let models: SameModels | undefined
let echo: Listener | undefined
let results: Checks

beforeAll(async () => {
  models = await startSameModels()
  echo = await listen({ serving: echoed() }, optionsSchema.parse({ port: 0 }))
  // Needs `tritonclient[http]`, numpy and ml_dtypes.
  results = await checksOf(python, 'triton.py', [models.httpUrl, echo.url])
})
afterAll(async () => {
  await echo?.stop()
  await models?.stop()
})

/** Models of BF16, which ONNX Runtime has no tensors of here, and of more inputs than one: any of these alone. */
function echoed() {
  const serving = echoServing()
  const inputs = [specOf('a', 'int8'), specOf('b', 'int8'), specOf('h', 'float16'), specOf('bf', 'bfloat16')]
  return {
    ...serving,
    infer(...[model, version, tensors]: Parameters<typeof serving.infer>) {
      serving.takes(...inputs.filter(({ name }) => Object.hasOwn(tensors, name)))
      return serving.infer(model, version, tensors)
    },
  }
}

it.each([
  'types in binary both ways',
  'types in JSON both ways',
  'types in binary answered in JSON',
  'types in JSON answered in binary',
  'BF16 in binary',
  'rounding of 16 bit floats',
  'NaN and infinities',
  'no rows and many',
  'outputs by name each in its form',
  'a raw body',
  'compressed requests',
  'many at once',
  'its client on asyncio',
  'health and metadata',
  'the model repository',
  'statistics',
  'what is refused',
])("Triton's client finds right: %s", (check) => {
  expect(results).toHaveProperty([check], null)
})
