import { type Access, type Actor, accessRoles } from '@tideway/core'
import { describe, expect, it } from 'vitest'

export interface AccessSubject {
  readonly access: () => Access
  /** Credentials that are right, and who they are of; absent where there are none. */
  readonly valid?: () => { readonly token: string; readonly actor: Actor }
}

/** The suite that every `Access` runs. */
export function accessContract(name: string, { access, valid }: AccessSubject): void {
  const identify = async (authorization?: string) =>
    access().identify({ ...(authorization !== undefined && { authorization }) })

  describe(`access contract: ${name}`, () => {
    it('lets nobody in without credentials, or everybody as one with all roles', async () => {
      if (access().required) await expect(identify()).rejects.toMatchObject({ code: 'UNAUTHORIZED', status: 401 })
      else expect(accessRoles.filter((role) => role === 'admin')).toEqual((await identify()).roles)
    })

    if (!valid) return
    it('knows who valid credentials are of, and the second time at once', async () => {
      const { token, actor } = valid()
      expect(await identify(`Bearer ${token}`)).toEqual(actor)
      expect(access().identify({ authorization: `Bearer ${token}` })).toEqual(actor)
      expect(await identify(`bearer  ${token}`)).toEqual(actor)
    })

    it('refuses credentials that are not right, also where it would let in without, and does not repeat them', async () => {
      const { token } = valid()
      const last = token.at(-1) === 'A' ? 'B' : 'A'
      const first = token[0] === 'a' ? 'b' : 'a'
      const wrong = [first + token.slice(1), token.slice(0, -5) + last, `${token}${token}`, 'x', token.slice(1)]
      for (const text of wrong) {
        const refusal = await identify(`Bearer ${text}`).then(
          () => undefined,
          (error: unknown) => error as Error & { status: number; data: unknown },
        )
        expect(refusal?.status, text).toBe(401)
        expect(JSON.stringify([refusal?.message, refusal?.data])).not.toContain(token.slice(5))
      }
      for (const authorization of [
        '',
        token,
        `Basic ${token}`,
        'Bearer',
        `Bearer ${token} ${token}`,
        `Bearer ${token}\n`,
      ])
        await expect(identify(authorization), authorization).rejects.toMatchObject({ status: 401 })
    })
  })
}
