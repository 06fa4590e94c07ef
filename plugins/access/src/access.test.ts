import { createHost, definePlugin, openAccess, tokens } from '@tideway/core'
import { accessContract } from '@tideway/test/contract/access'
import { keyStoreContract } from '@tideway/test/contract/store/key-store'
import { memoryKeyStore } from '@tideway/test/support/memory-key-store'
import { beforeAll, describe, expect, it } from 'vitest'
import { createAccess, type OpenedAccess } from './access.js'
import { type AccessInput, optionsSchema } from './options.js'
import { access as accessPlugin } from './plugin.js'

const KEY = 'a-key-of-enough-letters'
const make = (options: AccessInput = {}, keyStore = memoryKeyStore()) =>
  createAccess(optionsSchema.parse(options), { keyStore })

keyStoreContract(
  'in memory',
  (
    (store) => () =>
      store
  )(memoryKeyStore()),
)
accessContract('open', { access: () => openAccess })
accessContract('configured keys', {
  access: (
    (made) => () =>
      made
  )(make({ apiKeys: ['another-key-of-letters', { key: KEY, name: 'ci', roles: ['operator'] }] })),
  valid: () => ({ token: KEY, actor: { name: 'key:ci', roles: ['operator'] } }),
})

describe.each([
  ['where they are required', { host: '0.0.0.0' }],
  ['on loopback', {}],
])('keys of a store %s', (where, options) => {
  let made: OpenedAccess
  let token = ''
  let id = ''
  beforeAll(async () => {
    const store = memoryKeyStore()
    const order = { name: 'ci', roles: ['viewer', 'device'], models: ['digits'], devices: ['plant/*'] } as const
    const { key, record } = await make({}, store).keys!.create(order, 'local')
    token = key
    id = record.id
    made = make(options, store)
    await made.open()
  })
  accessContract(`keys ${where}`, {
    access: () => made,
    valid: () => ({
      token,
      actor: { name: `key:ci/${id}`, roles: ['viewer', 'device'], models: ['digits'], devices: ['plant/*'] },
    }),
  })
})

describe('credentials', () => {
  it.each([
    [{}, false],
    [{ host: '::1' }, false],
    [{ required: true }, true],
    [{ host: '0.0.0.0' }, true],
    [{ apiKeys: [KEY] }, true],
    [{ apiKeys: [KEY], required: false }, false],
    [{ oidc: { issuer: 'https://sso.example.com', audience: 'tideway' } }, true],
  ] satisfies [AccessInput, boolean][])('with %j are required: %s', (options, required) => {
    expect(make(options).required).toBe(required)
  })

  it('must be there where they are required', async () => {
    const store = memoryKeyStore()
    const locked = { code: 'CREDENTIALS_REQUIRED', data: { host: '0.0.0.0' } }
    await expect(make({ host: '0.0.0.0' }, store).open()).rejects.toMatchObject(locked)
    const { record } = await make({}, store).keys!.create({ name: 'first', roles: ['admin'] }, 'local')
    await make({ host: '0.0.0.0' }, store).open()
    await store.revoke(record.id, new Date().toISOString())
    await expect(make({ host: '0.0.0.0' }, store).open()).rejects.toMatchObject(locked)
    await make({ host: '0.0.0.0', apiKeys: [KEY] }, store).open()
  })

  it('of a process open its own server, and no other process', async () => {
    const [one, other] = [make({ apiKeys: [KEY] }), make({ apiKeys: [KEY] })]
    const authorization = `Bearer ${one.processKey}`
    expect(one.identify({ authorization })).toEqual({ name: 'process', roles: ['publisher', 'operator'] })
    expect(() => other.identify({ authorization })).toThrowError(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  })
})

describe('the plugin', () => {
  it('takes the keys of the store of its host', async () => {
    const store = memoryKeyStore()
    const stored = definePlugin({
      name: 'store',
      provides: [tokens.keyStore],
      register: (scope) => scope.provide(tokens.keyStore, () => store),
    })
    const host = createHost()
    host.use(stored(), accessPlugin({ required: true, apiKeys: [KEY] }))
    await host.start()
    const { key } = await host.get(tokens.access).keys!.create({ name: 'ci', roles: ['viewer'] }, 'test')
    expect(await host.get(tokens.access).identify({ authorization: `Bearer ${key}` })).toMatchObject({
      roles: ['viewer'],
    })
    await host.stop()
    expect((await store.keys())[0]?.lastUsedAt).toBeDefined()
  })

  it('names every option that is wrong', () => {
    const wrong = {
      apiKeys: ['short', { key: KEY, roles: ['king'] }],
      oidc: { issuer: 'http://sso.example.com', audience: [], algorithms: ['HS256'] },
    }
    expect(() => createHost().use(accessPlugin(wrong as AccessInput))).toThrowError(
      expect.objectContaining({ code: 'PLUGIN_OPTIONS_INVALID' }),
    )
  })
})
