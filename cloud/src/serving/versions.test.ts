import { errors, type Registry, type VersionRecord } from '@tideway/core'
import { expect, it, vi } from 'vitest'
import { VersionLookup } from './versions.js'

function lookup() {
  const asked: string[] = []
  const state = { latest: 1 }
  const registry = {
    async resolve(model: string, wanted: string) {
      asked.push(wanted)
      if (wanted === '9') throw errors.VERSION_NOT_FOUND({ model, version: wanted })
      return { version: wanted === 'latest' ? state.latest : Number(wanted) } as VersionRecord
    },
  } as Registry
  return { versions: new VersionLookup(() => registry), asked, state }
}

it('asks the store once for a number, and again for an alias after a quarter of a second', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { versions, asked, state } = lookup()
    for (let at = 0; at < 3; at++) {
      expect(await versions.resolve('m', '2')).toMatchObject({ version: 2 })
      expect(await versions.resolve('m', 'latest')).toMatchObject({ version: 1 })
    }
    expect(asked).toEqual(['2', 'latest'])
    state.latest = 2
    vi.advanceTimersByTime(251)
    expect(await versions.resolve('m', 'latest')).toMatchObject({ version: 2 })
    await versions.resolve('m', '2')
    expect(asked).toEqual(['2', 'latest', 'latest'])
    versions.clear()
    await versions.resolve('m', '2')
    expect(asked).toHaveLength(4)
  } finally {
    vi.useRealTimers()
  }
})

it('does not remember what was not found', async () => {
  const { versions, asked } = lookup()
  for (let at = 0; at < 2; at++)
    await expect(versions.resolve('m', '9')).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
  expect(asked).toEqual(['9', '9'])
})
