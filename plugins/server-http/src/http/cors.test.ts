import { afterEach, describe, expect, it } from 'vitest'
import { listen } from '../listen.js'
import { type Rig, startRig } from '../rig.fixture.js'
import { optionsSchema } from '../schema.js'
import { createCors } from './cors.js'

const APP = 'https://app.example.com'
const KEY = 'a-key-of-enough-letters'
const access = { apiKeys: [KEY] }
const rigs: Rig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})
async function start(options: Parameters<typeof startRig>[1]): Promise<Rig> {
  const rig = await startRig({ wire: { transport: 'embedded' } }, options)
  rigs.push(rig)
  return rig
}
const preflight = (rig: Rig, origin: string) =>
  fetch(`${rig.url}/v1/wire`, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'authorization',
    },
  })
const headersOf = ({ headers }: { headers: Headers }) =>
  [...headers.keys()].filter((name) => name.startsWith('access-control'))

describe('pages of other origins', () => {
  it('read nothing until they are configured', async () => {
    const rig = await start({ access })
    const asked = await preflight(rig, APP)
    expect([asked.status, headersOf(asked)]).toEqual([401, []])
    const answer = await rig.call('GET', '/v1/wire', undefined, { Origin: APP, Authorization: `Bearer ${KEY}` })
    expect([answer.status, headersOf(answer)]).toEqual([200, []])
  })

  it('that are configured ask without credentials, and read answers and refusals', async () => {
    const rig = await start({ access, cors: { origins: [APP] } })
    const asked = await preflight(rig, APP)
    expect(asked.status).toBe(204)
    expect(asked.headers.get('access-control-allow-origin')).toBe(APP)
    expect(asked.headers.get('access-control-allow-headers')).toMatch(/authorization/i)
    expect(asked.headers.get('access-control-allow-methods')).toContain('DELETE')
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull()
    for (const Authorization of [`Bearer ${KEY}`, 'Bearer wrong']) {
      const answer = await rig.call('GET', '/v1/wire', undefined, { Origin: APP, Authorization })
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
      expect(answer.headers.get('vary')).toBe('Origin')
    }
    const infer = await rig.call('POST', '/v2/models/m/infer', {}, { Origin: APP })
    expect([infer.status, infer.headers.get('access-control-allow-origin')]).toEqual([401, APP])
  })

  it('that are not among those configured read nothing, and caches keep the answers apart', async () => {
    const rig = await start({ access, cors: { origins: [APP] } })
    const evil = 'https://app.example.com.evil.example'
    expect(headersOf(await preflight(rig, evil))).toEqual([])
    const answer = await rig.call('GET', '/v1/wire', undefined, { Origin: evil, Authorization: `Bearer ${KEY}` })
    expect([headersOf(answer), answer.headers.get('vary')]).toEqual([[], 'Origin'])
  })

  it('of all origins may be let in where credentials are required, and never with cookies', async () => {
    const rig = await start({ access, cors: { origins: ['*'] } })
    const asked = await preflight(rig, 'https://anything.example')
    expect(asked.headers.get('access-control-allow-origin')).toBe('*')
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull()
    const unsafe = listen({}, optionsSchema.parse({ port: 0, cors: { origins: ['*'] } }))
    await expect(unsafe).rejects.toMatchObject({ code: 'CORS_UNSAFE' })
  })

  it('are named as origins, or not at all', () => {
    for (const origin of ['app.example.com', `${APP}/`, `${APP}/path`, 'null', 'https://*.example.com'])
      expect(optionsSchema.safeParse({ cors: { origins: [origin] } }).success, origin).toBe(false)
    expect(optionsSchema.safeParse({ cors: { origins: [APP, 'http://localhost:5173', '*'] } }).success).toBe(true)
  })

  it('ask by OPTIONS with a method; what else is OPTIONS is no question of theirs', () => {
    const cors = createCors({ origins: [APP], maxAgeSeconds: 60 })
    expect(cors.preflight(APP, undefined)).toBeUndefined()
    expect(cors.preflight(undefined, 'GET')).toBeUndefined()
    expect(cors.preflight(APP, 'GET')).toMatchObject({ 'Access-Control-Max-Age': '60' })
  })
})
