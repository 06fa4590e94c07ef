import { readingRegistryContract } from '@tideway/test/contract/store/registry'
import { expect, it } from 'vitest'
import { fixedRegistry } from './registry.js'

const sha256 = 'a'.repeat(64)
const registry = fixedRegistry([{ model: 'digits', sha256 }], '2026-03-01T12:00:00.000Z')

readingRegistryContract(
  'of files that are served',
  () => registry,
  async () => ({
    model: 'digits',
    manifestDigest: sha256,
    aliases: ['latest'],
  }),
)

it('is not changed by whoever asks for it', async () => {
  const changes = [
    () => registry.register({ model: 'digits', manifestDigest: 'b'.repeat(64) }),
    () => registry.setAlias('digits', 'latest', 1),
  ]
  for (const change of changes) await expect(change()).rejects.toMatchObject({ code: 'MODELS_FIXED' })
  expect(await registry.versions('digits')).toHaveLength(1)
})
