import { createHost, tokens } from '@tideway/core'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { describe, expect, it } from 'vitest'
import { graphSubject, layersSubject } from './models.fixture.js'
import { tfjsRuntime } from './plugin.js'
import { createTfjsRuntime } from './runtime.js'

const layers = await layersSubject()

for (const provider of ['cpu', 'wasm']) {
  const create = () => createTfjsRuntime({ providers: [provider] })
  runtimeContract(`tfjs with a Graph model on ${provider}`, { create, ...graphSubject() })
  runtimeContract(`tfjs with a Layers model on ${provider}`, { create, ...layers })
}

describe('the tfjs runtime', () => {
  it('comes to a host as a plugin', async () => {
    const host = createHost()
    host.use(tfjsRuntime())
    await host.start()
    expect(host.get(tokens.runtime).flags.formats).toEqual(['tfjs'])
    await host.stop()
  })
})
