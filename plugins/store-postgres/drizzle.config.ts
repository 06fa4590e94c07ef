import { defineConfig } from 'drizzle-kit'

/** `npm run generate` compares the built schema with the last snapshot in `drizzle/` and writes the next migration. */
export default defineConfig({
  dialect: 'postgresql',
  schema: ['./dist/schema/tables.js', './dist/schema/traffic.js', './dist/schema/keys.js'],
  out: './drizzle',
  casing: 'snake_case',
})
