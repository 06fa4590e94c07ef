import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAccess } from '../access.js'
import { optionsSchema } from '../options.js'

/** What is used of it here; it brings no types. */
type Provider = new (issuer: string, configuration: object) => { callback(): RequestListener }

const AUDIENCE = 'urn:tideway'
const client = { client_id: 'batch', client_secret: 'a secret of a test' }
let server: Server
let issuer = ''

beforeAll(async () => {
  const name: string = 'oidc-provider'
  const { default: Provider } = (await import(name)) as { default: Provider }
  server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const resource = { scope: 'infer', audience: AUDIENCE, accessTokenTTL: 300, accessTokenFormat: 'jwt' }
  const provider = new Provider(issuer, {
    clients: [{ ...client, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => resource },
    },
    extraTokenClaims: () => ({ realm_access: { roles: ['ml-ops'] } }),
  })
  server.on('request', provider.callback())
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

it('takes the tokens of a certified OpenID provider, found by its discovery', async () => {
  const body = new URLSearchParams({ grant_type: 'client_credentials', resource: AUDIENCE, scope: 'infer' })
  const basic = Buffer.from(`${client.client_id}:${encodeURIComponent(client.client_secret)}`).toString('base64')
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    body,
    headers: { Authorization: `Basic ${basic}` },
  })
  const { access_token: token } = (await response.json()) as { access_token: string }
  const rules = { issuer, audience: AUDIENCE, rolesClaim: 'realm_access.roles', roleMap: { 'ml-ops': ['operator'] } }
  const access = createAccess(optionsSchema.parse({ oidc: rules }))
  const actor = await access.identify({ authorization: `Bearer ${token}` })
  expect(actor).toEqual({ name: 'oidc:batch', roles: ['operator'] })
})
