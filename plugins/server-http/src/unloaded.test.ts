import { silentLogger } from '@tideway/core'
import { echoServing } from '@tideway/test/support/echo-serving'
import { expect, it, vi } from 'vitest'
import { exchange, head } from './inference/socket.fixture.js'
import { startRig } from './rig.fixture.js'

const state = vi.hoisted(() => ({ fails: true }))
vi.mock('./app.js', async (original) => {
  const app = await original<typeof import('./app.js')>()
  return {
    get appOf() {
      if (state.fails) throw new Error('EMFILE: too many open files')
      return app.appOf
    },
  }
})

it('routes that could not be loaded cost the requests for them alone, and are loaded with the next one', async () => {
  const told: unknown[] = []
  const logger = { ...silentLogger, error: (...line: unknown[]) => void told.push(line) }
  const rig = await startRig({ serving: echoServing(), logger })
  const asked = ['/v2/health/live', '/v2/health/live?read=by-node'].map((path) =>
    head('GET', path, 'Connection: close'),
  )
  for (const text of asked) expect(await exchange(rig.url, text)).toEqual([])
  expect(told).toContainEqual([
    expect.stringContaining('could not be loaded'),
    { error: expect.stringContaining('EMFILE') },
  ])
  state.fails = false
  for (const text of asked) expect(await exchange(rig.url, text)).toMatchObject([{ status: 200 }])
  await rig.stop()
})
