import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { HOST_VERSION } from './version.js'

it('tells plugins the version that the package has', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  expect(HOST_VERSION).toBe(version)
})
