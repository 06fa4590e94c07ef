import { status } from '@grpc/grpc-js'
import { defineErrors, entry, errors, silentLogger, TidewayError } from '@tideway/core'
import { describe, expect, it, vi } from 'vitest'
import { errors as own } from '../errors.js'
import { asDetails, failureOf, ours, statusOf } from './status.js'

const { errors: busy } = defineErrors({
  SERVING_BUSY: entry<{ retryAfterMs: number }>(429, () => 'rows wait already', 'Ask again.'),
})

const cases: readonly [TidewayError, keyof typeof status][] = [
  [errors.INPUT_INVALID({ issues: [] }), 'INVALID_ARGUMENT'],
  [errors.INPUT_REJECTED({ what: 'it', issues: [] }), 'INVALID_ARGUMENT'],
  [own.GRPC_MESSAGE_INVALID({ what: 'it', bytes: 1, reason: 'x' }), 'INVALID_ARGUMENT'],
  [errors.MODEL_NOT_FOUND({ model: 'm' }), 'NOT_FOUND'],
  [errors.VERSION_NOT_FOUND({ model: 'm', version: '1' }), 'NOT_FOUND'],
  [errors.MODEL_UNLOADED({ model: 'm' }), 'UNAVAILABLE'],
  [busy.SERVING_BUSY({ retryAfterMs: 12.5 }), 'RESOURCE_EXHAUSTED'],
  [errors.TOO_LARGE({ what: 'it', bytes: 2, maxBytes: 1 }), 'RESOURCE_EXHAUSTED'],
  [errors.UNAUTHORIZED({ given: false }), 'UNAUTHENTICATED'],
  [errors.REPORT_IDENTITY_MISMATCH({ fleet: 'f', device: 'd', claimed: 'e' }), 'PERMISSION_DENIED'],
  [errors.ROLE_NOT_HERE({ service: 'serving' }), 'UNAVAILABLE'],
  [errors.STORE_UNAVAILABLE({ store: 's' }), 'UNAVAILABLE'],
  [own.GRPC_STOPPING({}), 'UNAVAILABLE'],
  [errors.EXTENSION_NOT_HERE({ extension: 'e' }), 'UNIMPLEMENTED'],
  [errors.RUN_FAILED({ reason: 'r' }), 'INTERNAL'],
  [errors.INTERNAL({ requestId: 'r' }), 'INTERNAL'],
  [new TidewayError('LATE', 'too late', {}, 504), 'DEADLINE_EXCEEDED'],
  [new TidewayError('ODD', 'a status that has no other', {}, 418), 'INTERNAL'],
]

describe('the status of', () => {
  it.each(cases)('%s', (error, name) => {
    expect(status[statusOf(error)]).toBe(name)
    const { code, details, metadata } = failureOf(error, 'id-1')
    expect([code, details, metadata.getMap()]).toEqual([
      status[name],
      error.message,
      expect.objectContaining({ 'tideway-code': error.code, 'x-request-id': 'id-1' }),
    ])
  })
})

it('a client that is to wait is told for how long, in whole milliseconds', () => {
  expect(failureOf(busy.SERVING_BUSY({ retryAfterMs: 12.5 }), 'id-1').metadata.get('grpc-retry-pushback-ms')).toEqual([
    '13',
  ])
  expect(failureOf(errors.UNAUTHORIZED({ given: false }), 'id-1').metadata.get('grpc-retry-pushback-ms')).toEqual([])
})

it('what is no error of ours becomes a request id, under which it is logged', () => {
  const error = vi.fn()
  const made = ours(new TypeError('a secret'), { path: '/a/B', requestId: 'id-1' }, { ...silentLogger, error })
  expect(made.code).toBe('INTERNAL')
  expect(made.message).not.toContain('secret')
  expect(made.data).toEqual({ requestId: 'id-1' })
  expect(error).toHaveBeenCalledWith('request failed', {
    requestId: 'id-1',
    path: '/a/B',
    cause: expect.stringContaining('a secret'),
  })
  const known = errors.UNAUTHORIZED({ given: false })
  expect(ours(known, { path: '/a/B', requestId: 'id-1' }, silentLogger)).toBe(known)
})

describe('details', () => {
  it('stay as they are where they are short and well formed', () => {
    expect(asDetails('潮 100 %')).toBe('潮 100 %')
  })

  it('have no half of a surrogate pair, which percent encoding refuses', () => {
    expect(asDetails('a\ud83db')).toBe('a\ufffdb')
    expect(asDetails('\ud83d\ude00')).toBe('\ud83d\ude00')
  })

  it('are cut where their encoding would not fit a header, between characters', () => {
    for (const text of ['x'.repeat(10_000), '潮'.repeat(3_000), '\ud83d\ude00'.repeat(3_000)]) {
      const cut = asDetails(text)
      expect(encodeURI(cut).length).toBeLessThanOrEqual(4_096)
      expect(encodeURI(cut).length).toBeGreaterThan(4_000)
      expect(text.startsWith(cut.slice(0, -1)) && cut.endsWith('…')).toBe(true)
    }
  })
})
