import { expect, it } from 'vitest'
import { publicUrl } from './connection.js'

it('leaves nothing of a user name or password in an address that is shown', () => {
  expect(publicUrl('nats://127.0.0.1:4222')).toBe('nats://127.0.0.1:4222')
  expect(publicUrl('127.0.0.1:4222')).toBe('127.0.0.1:4222')
  for (const password of ['plain', 'p@ss', 'pa/ss', 'a:b@c', '%40'])
    expect(publicUrl(`nats://user:${password}@host:4222`)).toBe('nats://host:4222')
  expect(publicUrl('nats://u:p@a:1,nats://u:p@b:2')).toBe('nats://a:1,nats://b:2')
})
