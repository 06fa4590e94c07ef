import { describe, expect, it } from 'vitest'
import { type AccessRole, accessRoles, allows, allowsDevice, allowsModel, isLoopback, localActor } from './access.js'

const may = (role: AccessRole): AccessRole[] =>
  accessRoles.filter((other) => allows({ name: 'somebody', roles: [role] }, other))

describe('roles', () => {
  it('include those below them, and admin all', () => {
    expect(may('viewer')).toEqual(['viewer'])
    expect(may('operator')).toEqual(['viewer', 'operator'])
    expect(may('publisher')).toEqual(['viewer', 'publisher'])
    expect(may('device')).toEqual(['device'])
    expect(may('admin')).toEqual(accessRoles)
  })

  it('add up, and without one nothing is allowed', () => {
    expect(allows({ name: 'both', roles: ['operator', 'publisher'] }, 'publisher')).toBe(true)
    expect(allows({ name: 'none', roles: [] }, 'viewer')).toBe(false)
    expect(allows(localActor, 'admin', 'digits')).toBe(true)
  })
})

describe('a scope', () => {
  it('restricts models to those that it names, whatever the role', () => {
    const actor = { name: 'ci', roles: ['admin'], models: ['digits'] } as const
    expect([allows(actor, 'operator', 'digits'), allows(actor, 'operator', 'other')]).toEqual([true, false])
    expect(allows(actor, 'operator')).toBe(true)
    expect([allowsModel({}, 'any'), allowsModel({ models: [] }, 'any')]).toEqual([true, false])
  })

  it('restricts devices to one, or to those of a fleet', () => {
    const scope = { devices: ['plant/press-1', 'shop/*'] }
    expect(allowsDevice(scope, 'plant', 'press-1')).toBe(true)
    expect(allowsDevice(scope, 'shop', 'any')).toBe(true)
    expect(allowsDevice(scope, 'plant', 'press-2')).toBe(false)
    expect(allowsDevice(scope, 'other', 'press-1')).toBe(false)
    expect(allowsDevice({}, 'other', 'press-1')).toBe(true)
  })
})

it.each([
  ['localhost', true],
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['[::1]', true],
  ['0.0.0.0', false],
  ['::', false],
  ['127.0.0.1.example.com', false],
  ['localhost.example.com', false],
])('%s is loopback: %s', (host, is) => expect(isLoopback(host)).toBe(is))
