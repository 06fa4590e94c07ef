import { readFileSync } from 'node:fs'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { describe, expect, it } from 'vitest'
import * as keys from './keys.js'
import * as others from './tables.js'
import * as traffic from './traffic.js'

const tables = { ...others, ...traffic, ...keys }
const folder = new URL('../../drizzle/meta/', import.meta.url)
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))

describe('the migrations', () => {
  it('make the tables that the code uses; if not: npm run generate -w @tideway/store-postgres', async () => {
    const { entries } = read('_journal.json') as { entries: { idx: number }[] }
    const newest = String(entries.at(-1)?.idx).padStart(4, '0')
    const migrated = read(`${newest}_snapshot.json`) as Parameters<typeof generateMigration>[0]
    const wanted = generateDrizzleJson(tables, migrated.id, undefined, 'snake_case')
    expect(await generateMigration(migrated, wanted)).toEqual([])
    const without = generateDrizzleJson({ ...tables, auditLog: undefined }, migrated.id, undefined, 'snake_case')
    expect(await generateMigration(migrated, without)).not.toEqual([])
  })
})
