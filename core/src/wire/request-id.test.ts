import { expect, it } from 'vitest'
import { requestIdOf } from './request-id.js'

it('takes from a client an id of a request that no log and no header can be broken with', () => {
  for (const id of ['a', '0af7651916cd43dd8448eb211c80319c', 'urn:uuid:1', 'a'.repeat(128)])
    expect(requestIdOf(id)).toBe(id)
  for (const id of ['', ' a', 'a b', 'a\nb', '"', 'a'.repeat(129), 'é', undefined])
    expect(requestIdOf(id)).toHaveLength(36)
})
