import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, describe, expect, it } from 'vitest'
import { exchange, head, type WireAnswer } from '../inference/socket.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'
import type { Exchange } from './exchange.js'
import { plainGets } from './plain-get.js'

const rigs: Rig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})

/** Its headers, but for the time. */
const told = ({ headers }: WireAnswer) => new Map([...headers].filter(([name]) => name !== 'date'))

describe('what is asked ahead of inference', () => {
  it('is answered as anywhere else', async () => {
    const serving = echoServing()
    serving.takes(specOf('x', 'int8'))
    const rig = await startRig({ serving })
    rigs.push(rig)
    for (const path of [
      '/v2',
      '/v2/health/live',
      '/v2/models/echo',
      '/v2/models/echo/versions/3',
      '/v2/models/no.ne',
    ]) {
      const lines = ['X-Request-Id: r', 'Origin: http://there', 'Connection: close']
      const [plain] = await exchange(rig.url, head('GET', path, ...lines))
      const [byNode] = await exchange(rig.url, head('GET', `${path}?read=by-node`, ...lines))
      expect(plain, path).toMatchObject({ status: byNode!.status, body: byNode!.body })
      expect(told(plain!)).toEqual(told(byNode!))
    }
  })
})

describe('a GET is taken', () => {
  const takes = (method: string, url: string, host: string | undefined) => {
    const answered: number[] = []
    const gets = plainGets(async () => () => new Response('{}'))
    const asked = { method, url, headers: { host }, answer: (status: number) => answered.push(status) }
    return gets(asked as unknown as Exchange)
  }

  it.each(['/v2', '/v2/models/stats', '/v2/models/a-b_c.d/versions/12/ready'])('at %s', (url) => {
    expect(takes('GET', url, '127.0.0.1:80')).toBe(true)
  })

  it.each(['localhost', 'models.example.com:8000', '[::1]:8000'])('for the host %s', (host) => {
    expect(takes('GET', '/v2', host)).toBe(true)
  })

  it.each([
    ['at a path that is not of the protocol', 'GET', '/v1/jobs', 'a'],
    ['at one that only begins like it', 'GET', '/v22/health', 'a'],
    ['with a query', 'GET', '/v2/models/a?b', 'a'],
    ['with percent signs', 'GET', '/v2/models/%61', 'a'],
    ['that goes up', 'GET', '/v2/../v1/jobs', 'a'],
    ['with an empty name', 'GET', '/v2//models', 'a'],
    ['of another method', 'POST', '/v2/models/a', 'a'],
    ['without a host', 'GET', '/v2', undefined],
    ['with a path in its host', 'GET', '/v2', 'a/b'],
    ['with a user in its host', 'GET', '/v2', 'a@b'],
    ['with a port that there is not', 'GET', '/v2', 'a:99999'],
    ['with an address that is none', 'GET', '/v2', '[1:2]'],
  ])('unless it is one %s', (_, method, url, host) => {
    expect(takes(method, url, host)).toBe(false)
  })
})
