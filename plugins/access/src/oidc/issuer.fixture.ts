import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

/** An issuer over real HTTP, whose keys can be turned and which can go away. */
export interface Issuer {
  readonly url: string
  /** How often its keys were asked for. */
  readonly asked: number
  sign(claims: JWTPayload, more?: { alg?: string; expiresIn?: string; withoutKid?: boolean }): Promise<string>
  /** From now on it signs with a new key; `keep`: the old ones stay published. */
  rotate(keep: boolean): Promise<void>
  /** Answers with 503 until it is called again. */
  fail(isDown: boolean): void
  /** What its discovery document says that it is. */
  claimToBe(issuer: string): void
  close(): Promise<void>
}

export const AUDIENCE = 'tideway'

export async function startIssuer(): Promise<Issuer> {
  let [published, asked, down]: [JWK[], number, boolean] = [[], 0, false]
  let signer: { kid: string; key: CryptoKey } | undefined
  let name = ''
  const answer = ({ url }: IncomingMessage, response: ServerResponse) => {
    if (down) return response.writeHead(503).end()
    if (url === '/.well-known/openid-configuration')
      return response.end(JSON.stringify({ issuer: name, jwks_uri: `${base}/jwks` }))
    if (url !== '/jwks') return response.writeHead(404).end()
    asked++
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: published }))
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  name = base
  const rotate = async (keep: boolean) => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const kid = randomUUID()
    const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
    published = keep ? [...published, jwk] : [jwk]
    signer = { kid, key: privateKey }
  }
  await rotate(false)
  return {
    url: base,
    get asked() {
      return asked
    },
    rotate,
    fail: (isDown) => {
      down = isDown
    },
    claimToBe: (issuer) => {
      name = issuer
    },
    sign: (claims, { alg = 'ES256', expiresIn = '5m', withoutKid = false } = {}) => {
      const token = new SignJWT({ iss: base, aud: AUDIENCE, sub: 'alice', ...claims }).setIssuedAt()
      if (claims.exp === undefined) token.setExpirationTime(expiresIn)
      token.setProtectedHeader({ alg, ...(!withoutKid && { kid: signer!.kid }) })
      return token.sign(
        alg === 'HS256' ? new TextEncoder().encode('a secret that everybody here may know') : signer!.key,
      )
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
