import { expect, it } from 'vitest'
import type { Handle } from './handle.js'
import { Remembered } from './remembered.js'

const rig = (isSole: boolean) => {
  const handle = { isSole }
  const remembered = new Remembered<number>(handle as Handle)
  let asked = 0
  return { handle, remembered, ask: async () => ++asked }
}

it('asks once for what no other process changes, until this one writes', async () => {
  const { remembered, ask } = rig(true)
  for (let i = 0; i < 3; i++) expect(await remembered.get('a', ask)).toBe(1)
  expect(await remembered.get('b', ask)).toBe(2)
  remembered.wrote()
  expect(await remembered.get('a', ask)).toBe(3)
})

it('asks each time where others may write, and once it is closed', async () => {
  const { handle, remembered, ask } = rig(false)
  for (let i = 1; i <= 3; i++) expect(await remembered.get('a', ask)).toBe(i)
  handle.isSole = true
  await remembered.get('a', ask)
  handle.isSole = false
  expect(await remembered.get('a', ask)).toBe(5)
})

it('does not remember what was asked while something was written, nor what failed', async () => {
  const { remembered, ask } = rig(true)
  const asking = remembered.get('a', async () => {
    remembered.wrote()
    return ask()
  })
  expect(await asking).toBe(1)
  expect(await remembered.get('a', ask)).toBe(2)
  await expect(remembered.get('b', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone')
  expect(await remembered.get('b', ask)).toBe(3)
})

it('keeps a thousand answers at most', async () => {
  const { remembered, ask } = rig(true)
  for (let i = 0; i < 1_001; i++) await remembered.get(String(i), ask)
  expect(await remembered.get('0', ask)).toBe(1_002)
  expect(await remembered.get('1000', ask)).toBe(1_001)
})
