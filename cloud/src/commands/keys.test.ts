import { InvalidArgumentError } from 'commander'
import { expect, it } from 'vitest'
import { parseExpiry } from './keys.js'

const NOON = Date.parse('2030-01-01T12:00:00Z')

it.each([
  ['90d', '2030-04-01T12:00:00.000Z'],
  ['12h', '2030-01-02T00:00:00.000Z'],
  ['2031-01-31', '2031-01-31T00:00:00.000Z'],
])('%s is %s', (text, at) => expect(parseExpiry(text, NOON)).toBe(at))

it.each(['', 'soon', '90x', '1w'])('%j is no time at which a key ends', (text) => {
  expect(() => parseExpiry(text, NOON)).toThrow(InvalidArgumentError)
})
