import { setImmediate } from 'node:timers/promises'
import { type Actor, type Credentials, errors } from '@tideway/core'
import { accessContract } from '@tideway/test/contract/access'
import { expect, it } from 'vitest'
import { RelayedAccess } from './access.js'

const actor: Actor = { name: 'key:ci', roles: ['viewer'] }
const token = 'a-key-of-enough-letters'

/** A process that knows one key, until it is revoked. */
function rig() {
  const state = { asked: 0, revoked: false, nowMs: 0 }
  const ask = async ({ authorization }: Credentials): Promise<Actor> => {
    state.asked++
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (given === token && !state.revoked && !authorization?.includes('\n')) return actor
    throw errors.UNAUTHORIZED({ given: authorization !== undefined })
  }
  return { state, access: new RelayedAccess(true, ask, () => state.nowMs) }
}

accessContract('of another process', {
  access: (
    ({ access }) =>
    () =>
      access
  )(rig()),
  valid: () => ({ token, actor }),
})

it('asks for known credentials once a second, ahead of time and without making anybody wait', async () => {
  const { state, access } = rig()
  const credentials = { authorization: `Bearer ${token}` }
  await Promise.all(Array.from({ length: 100 }, async () => access.identify(credentials)))
  expect(state.asked).toBe(1)
  for (let i = 0; i < 40; i++) {
    state.nowMs += 100
    expect(access.identify(credentials)).toBe(actor)
    await setImmediate()
  }
  expect(state.asked).toBeLessThanOrEqual(9)
})

it('refuses what was revoked within a second, and what was refused is asked for again', async () => {
  const { state, access } = rig()
  const credentials = { authorization: `Bearer ${token}` }
  await access.identify(credentials)
  state.revoked = true
  state.nowMs += 1_001
  await expect(access.identify(credentials)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  state.revoked = false
  expect(await access.identify(credentials)).toBe(actor)
})
