import { BlockList, isIP } from 'node:net'

/** Whose request it is: the peer's, or, where a trusted proxy is the peer, the one's for whom it asks. */
export type ClientAddress = (peer: string | undefined, forwardedFor: string | undefined) => string | undefined

/**
 * X-Forwarded-For is read from its end, as far as the hops are proxies that are trusted (addresses, or ranges as
 * `10.0.0.0/8`): what stands before the first other address anybody may have written.
 */
export function clientAddress(trustedProxies: readonly string[]): ClientAddress {
  const trusted = new BlockList()
  for (const text of trustedProxies) {
    const [address = '', prefix] = text.split('/')
    const family = familyOf(address)
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  const isTrusted = (address: string) => trusted.check(address, familyOf(address))
  return (peer, forwardedFor) => {
    if (peer === undefined) return undefined
    let address = plain(peer)
    if (trustedProxies.length === 0 || forwardedFor === undefined) return address
    for (const hop of forwardedFor.split(',').reverse()) {
      const next = plain(hop.trim())
      if (!isTrusted(address) || isIP(next) === 0) break
      address = next
    }
    return address
  }
}

/** An address, or a range of them. */
export function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

/** A server that listens on IPv6 names IPv4 peers in IPv6. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
