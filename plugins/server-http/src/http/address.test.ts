import { describe, expect, it } from 'vitest'
import { clientAddress, isAddressRange } from './address.js'

describe('from where a request comes', () => {
  it.each([
    ['without proxies is the peer, whatever is claimed', [], '192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['is the peer where it is no proxy', ['10.0.0.0/8'], '192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['is what the proxy says', ['10.0.0.0/8'], '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['is the last that is no proxy', ['10.0.0.0/8'], '10.1.2.3', '203.0.113.9, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['is the proxy that wrote nonsense', ['10.0.0.0/8'], '10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['is the proxy that wrote nothing', ['10.0.0.0/8'], '10.1.2.3', undefined, '10.1.2.3'],
    ['is an IPv4 address also of a listener on IPv6', [], '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    ['may be IPv6', ['fd00::/8'], 'fd00::1', '2001:db8::7', '2001:db8::7'],
    ['is unknown without a peer', ['10.0.0.0/8'], undefined, '198.51.100.1', undefined],
  ] as const)('%s', (_, trusted, peer, forwarded, address) => {
    expect(clientAddress(trusted)(peer, forwarded)).toBe(address)
  })

  it.each([
    ['10.0.0.0/8', true],
    ['::1', true],
    ['fd00::/129', false],
    ['10.0.0.0/33', false],
    ['10.0.0.0/8/8', false],
    ['proxy', false],
    ['', false],
  ])('%s is an address or a range: %s', (text, is) => expect(isAddressRange(text)).toBe(is))
})
