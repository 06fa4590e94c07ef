import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Checks, checksOf, has, kservePython } from './python.js'
import { type SameModels, startSameModels } from './same-models.js'

const title = "KServe's clients"
const install = 'pip install kserve, TIDEWAY_KSERVE_PYTHON names the interpreter'

if (!has(kservePython, 'kserve'))
  describe(title, () => it.skip(`[not run: needs kserve; get it with: ${install}]`, () => undefined))
else
  describe(title, () => {
    let models: SameModels | undefined
    let results: Checks

    beforeAll(async () => {
      models = await startSameModels()
      results = await checksOf(kservePython, 'kserve_clients.py', [models.grpcUrl, models.httpUrl])
    })
    afterAll(() => models?.stop())

    it.each([
      'its gRPC client with raw contents',
      'its gRPC client value by value',
      'the health that its gRPC client asks for',
      'what its gRPC client is refused',
      'its REST client in binary',
      'its REST client in JSON',
      'the health that its REST client asks for',
      'what its REST client is refused',
    ])('find right: %s', (check) => {
      expect(results).toHaveProperty([check], null)
    })
  })
