import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

/** `npm run test:interop`: against peers from PyPI, which `npm test` never needs. */
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/interop/**/*.test.ts'], testTimeout: 120_000 },
})
