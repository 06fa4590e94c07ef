import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { catalogues, errorsPage } from '../docs/catalogues.js'

it('lists in docs/errors.md what the packages’ catalogues hold (else: npm run docs)', async () => {
  expect(await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')).toBe(errorsPage())
})

it('gives each code to one package only', () => {
  const codes = Object.values(catalogues).flatMap((entries) => Object.keys(entries))
  expect(codes.filter((code, i) => codes.indexOf(code) !== i)).toEqual([])
})

it('says of each code what to do, and gives it an HTTP status of an error', () => {
  for (const entries of Object.values(catalogues))
    for (const [code, { status, fix }] of Object.entries(entries)) {
      expect(code).toMatch(/^[A-Z][A-Z0-9_]+$/)
      expect(status, code).toBeGreaterThanOrEqual(400)
      expect(status, code).toBeLessThan(600)
      expect(fix.length, code).toBeGreaterThan(10)
    }
})
