import type { Actor } from '@tideway/core'
import { accessContract } from '@tideway/test/contract/access'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAccess, type OpenedAccess } from '../access.js'
import { optionsSchema } from '../options.js'
import { actorOf } from './claims.js'
import { AUDIENCE, type Issuer, startIssuer } from './issuer.fixture.js'
import { oidcSchema } from './options.js'
import { Tokens } from './tokens.js'
import { createVerify } from './verify.js'

let issuer: Issuer
beforeEach(async () => {
  issuer = await startIssuer()
})
afterEach(() => issuer.close())

const accessOf = (more: object = {}) =>
  createAccess(optionsSchema.parse({ oidc: { issuer: issuer.url, audience: AUDIENCE, ...more } }))
const identify = async (access: OpenedAccess, token: string): Promise<Actor> =>
  access.identify({ authorization: `Bearer ${token}` })

describe('tokens of an issuer', () => {
  let steady: Issuer
  let access: OpenedAccess
  let token = ''
  beforeAll(async () => {
    steady = await startIssuer()
    access = createAccess(optionsSchema.parse({ oidc: { issuer: steady.url, audience: AUDIENCE } }))
    token = await steady.sign({ roles: ['operator', 'unheard-of'] })
  })
  afterAll(() => steady.close())
  accessContract('tokens', {
    access: () => access,
    valid: () => ({ token, actor: { name: 'oidc:alice', roles: ['operator'] } }),
  })

  it('are verified once, and known at once from then on', async () => {
    const known = accessOf()
    const mine = await issuer.sign({ roles: ['viewer'] })
    await identify(known, mine)
    const asked = issuer.asked
    for (let i = 0; i < 100; i++)
      expect(known.identify({ authorization: `Bearer ${mine}` })).toEqual({ name: 'oidc:alice', roles: ['viewer'] })
    expect(issuer.asked).toBe(asked)
  })

  it.each([
    ['for somebody else', { aud: 'another' }, {}, 'TOKEN_INVALID', 'audience'],
    ['of somebody else', { iss: 'https://evil.example' }, {}, 'TOKEN_INVALID', 'issuer'],
    ['signed with a shared secret', {}, { alg: 'HS256' }, 'TOKEN_INVALID', 'algorithm'],
    ['that are not valid yet', { nbf: Math.floor(Date.now() / 1000) + 3_600 }, {}, 'TOKEN_INVALID', 'time'],
    ['that name nobody', { sub: '' }, {}, 'TOKEN_INVALID', 'claims'],
    ['that have expired', { exp: Math.floor(Date.now() / 1000) - 31 }, {}, 'TOKEN_EXPIRED', undefined],
  ])('%s are refused', async (_, claims, more, code, reason) => {
    const refused = identify(accessOf(), await issuer.sign(claims, more))
    await expect(refused).rejects.toMatchObject({ code, status: 401, data: reason === undefined ? {} : { reason } })
  })

  it('may be late by the tolerance of clocks', async () => {
    const late = await issuer.sign({ roles: ['viewer'], exp: Math.floor(Date.now() / 1000) - 5 })
    expect(await identify(accessOf(), late)).toMatchObject({ roles: ['viewer'] })
    await expect(identify(accessOf({ clockToleranceSeconds: 0 }), late)).rejects.toMatchObject({
      code: 'TOKEN_EXPIRED',
    })
  })

  it('signed by a new key are taken once the issuer has been asked again, those of a key that it took back are not', async () => {
    const oidc = oidcSchema.parse({ issuer: issuer.url, audience: AUDIENCE })
    const [verify, hasty] = [createVerify(oidc), createVerify(oidc, { cooldownMs: 0 })]
    const old = await issuer.sign({ roles: ['viewer'] })
    for (const one of [verify, hasty]) await one(old)
    await issuer.rotate(false)
    const fresh = await issuer.sign({ roles: ['viewer'] })
    const unknown = { code: 'TOKEN_INVALID', data: { reason: 'key' } }
    // It was asked a moment ago, and unknown keys are anybody's to make.
    const { asked } = issuer
    for (let i = 0; i < 5; i++) await expect(verify(fresh)).rejects.toMatchObject(unknown)
    expect(issuer.asked).toBe(asked)
    expect(await hasty(fresh)).toMatchObject({ sub: 'alice' })
    await expect(hasty(old)).rejects.toMatchObject(unknown)
  })

  it('that do not name their key are tried with each', async () => {
    await issuer.rotate(true)
    const token = await issuer.sign({ roles: ['viewer'] }, { withoutKid: true })
    expect(await identify(accessOf(), token)).toMatchObject({ roles: ['viewer'] })
  })

  it('of an issuer that does not answer are not taken, nor is it asked by every request', async () => {
    issuer.fail(true)
    const access = accessOf()
    const token = await issuer.sign({ roles: ['viewer'] })
    const unavailable = { code: 'ISSUER_UNAVAILABLE', status: 503, data: { issuer: issuer.url } }
    for (let i = 0; i < 3; i++) await expect(identify(access, token)).rejects.toMatchObject(unavailable)
    issuer.fail(false)
    await expect(identify(access, token)).rejects.toMatchObject(unavailable)
    expect(await identify(accessOf(), token)).toMatchObject({ roles: ['viewer'] })
  })

  it('are not taken where the issuer says that it is another', async () => {
    issuer.claimToBe('https://another.example')
    await expect(identify(accessOf(), await issuer.sign({}))).rejects.toMatchObject({ code: 'ISSUER_UNAVAILABLE' })
    const named = accessOf({ jwksUrl: `${issuer.url}/jwks` })
    expect(await identify(named, await issuer.sign({ roles: ['admin'] }))).toMatchObject({ roles: ['admin'] })
  })

  it('are believed for five minutes at most, and never beyond their end', async () => {
    let [verified, now] = [0, 1_000_000]
    const exp = (now + 60_000) / 1_000
    const claims = { sub: 'alice', exp }
    const oidc = oidcSchema.parse({ issuer: issuer.url, audience: AUDIENCE, clockToleranceSeconds: 0 })
    const tokens = new Tokens(
      () => Promise.resolve((verified++, claims)),
      oidc,
      () => now,
    )
    await tokens.find('short')
    now += 59_000
    await tokens.find('short')
    expect(verified).toBe(1)
    now += 1_000
    await tokens.find('short')
    expect(verified).toBe(2)
    claims.exp = 1e9
    await tokens.find('long')
    now += 300_000
    await tokens.find('long')
    expect(verified).toBe(4)
  })
})

describe('roles of a token', () => {
  const roles = (claims: object, options: object = {}) =>
    actorOf({ sub: 'a', ...claims }, oidcSchema.parse({ issuer: issuer.url, audience: AUDIENCE, ...options })).roles

  it('are found by a name, a path or a list, as a list or as words', () => {
    expect(roles({ roles: ['viewer', 'king', 7] })).toEqual(['viewer'])
    expect(roles({ realm_access: { roles: ['admin'] } }, { rolesClaim: 'realm_access.roles' })).toEqual(['admin'])
    expect(roles({ 'https://a.example/roles': ['admin'] }, { rolesClaim: 'https://a.example/roles' })).toEqual([
      'admin',
    ])
    expect(roles({ a: { 'b.c': 'viewer device' } }, { rolesClaim: ['a', 'b.c'] })).toEqual(['viewer', 'device'])
    for (const claims of [{}, { roles: 7 }, { roles: null }, { roles: { admin: true } }])
      expect(roles(claims)).toEqual([])
  })

  it('are mapped, and nothing else counts then', () => {
    const roleMap = { 'ml-ops': ['operator', 'publisher'] }
    expect(roles({ roles: ['ml-ops', 'admin', 'constructor'] }, { roleMap })).toEqual(['operator', 'publisher'])
  })

  it('may be for some models alone, and a token without that claim is for none', () => {
    const options = oidcSchema.parse({ issuer: issuer.url, audience: AUDIENCE, modelsClaim: 'models' })
    expect(actorOf({ sub: 'a', models: ['digits'] }, options)).toMatchObject({ models: ['digits'] })
    expect(actorOf({ client_id: 'batch' }, options)).toEqual({ name: 'oidc:batch', roles: [], models: [] })
  })
})
