import type { AuditLog } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Subject, unique } from './fixture.js'

export interface AuditLogSubject {
  /** Tries to change, to remove and to truncate entries by the strongest means that the store has; each must reject. */
  readonly tamper: Readonly<Record<string, (id: number) => Promise<unknown>>>
}

/** The suite that every `AuditLog` runs. */
export function auditLogContract(name: string, log: Subject<AuditLog>, subject: AuditLogSubject): void {
  describe(`audit log contract: ${name}`, () => {
    it('keeps who did what to which, and when', async () => {
      const entry = {
        actor: 'someone',
        action: 'alias.set',
        subject: unique('digits'),
        data: { version: 3, was: null },
      }
      const written = await log().append(entry)
      expect(written).toEqual({ ...entry, id: expect.any(Number), at: expect.stringMatching(/^\d{4}-.*Z$/) })
      expect(await log().list({ subject: entry.subject })).toEqual([written])
    })

    it('gives an entry without data an empty record', async () => {
      const subject = unique('digits')
      expect((await log().append({ actor: 'a', action: 'b', subject })).data).toEqual({})
    })

    it('keeps from where, and of which request, where that is known', async () => {
      const origin = { actor: 'key:ci', address: '192.0.2.7', requestId: unique('request') }
      const subject = unique('digits')
      const written = await log().append({ ...origin, action: 'alias.set', subject })
      expect(written).toMatchObject(origin)
      expect(await log().list({ subject })).toEqual([written])
    })

    it('lists in pages, and by actor', async () => {
      const [subject, actor] = [unique('fleet'), unique('key')]
      const ids: number[] = []
      for (let i = 0; i < 7; i++)
        ids.unshift((await log().append({ actor: i % 2 ? actor : 'other', action: 'desired.set', subject })).id)
      const listed = async (filter: Parameters<AuditLog['list']>[0]) =>
        (await log().list({ subject, ...filter })).map((entry) => entry.id)
      expect(await listed({ limit: 3 })).toEqual(ids.slice(0, 3))
      expect(await listed({ limit: 3, before: ids[2]! })).toEqual(ids.slice(3, 6))
      expect(await listed({ before: ids[6]! })).toEqual([])
      expect(await listed({ actor })).toEqual([ids[1], ids[3], ids[5]])
    })

    it('lists newest first, by subject and action, at most so many and 100 by default', async () => {
      const subject = unique('fleet')
      const ids: number[] = []
      for (let i = 0; i < 105; i++) {
        const action = i % 2 ? 'desired.set' : 'version.register'
        ids.unshift((await log().append({ actor: 'a', action, subject })).id)
      }
      expect(ids).toEqual(ids.toSorted((a, b) => b - a))
      const listed = async (filter: Parameters<AuditLog['list']>[0]) =>
        (await log().list(filter)).map((entry) => entry.id)
      expect(await listed({ subject })).toEqual(ids.slice(0, 100))
      expect(await listed({ subject, limit: 3 })).toEqual(ids.slice(0, 3))
      expect(await listed({ subject, action: 'desired.set', limit: 2 })).toEqual([ids[1], ids[3]])
      expect(await listed({ limit: 2 })).toEqual(ids.slice(0, 2))
      expect(await listed({ subject, action: 'no.such' })).toEqual([])
    })

    it.each(Object.keys(subject.tamper))('refuses to let entries be altered: %s', async (means) => {
      const entry = await log().append({ actor: 'a', action: 'b', subject: unique('x') })
      await expect(subject.tamper[means]?.(entry.id)).rejects.toThrow()
      expect(await log().list({ subject: entry.subject })).toEqual([entry])
    })
  })
}
