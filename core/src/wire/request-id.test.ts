import { expect, it } from 'vitest'
import { requestIdOf } from './request-id.js'

it('takes from a client an id of a request that no log and no header can be broken with', () => {
  for (const id of ['a', '0af7651916cd43dd8448eb211c80319c', 'urn:uuid:1', 'a'.repeat(128)])
    expect(requestIdOf(id)).toBe(id)
  for (const id of ['', ' a', 'a b', 'a\nb', '"', 'a'.repeat(129), 'é', undefined])
    expect(requestIdOf(id)).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}-\d+$/)
})

it('gives each request another one, which it would take itself', () => {
  const ids = Array.from({ length: 1_000 }, () => requestIdOf(undefined))
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(requestIdOf(id)).toBe(id)
})
