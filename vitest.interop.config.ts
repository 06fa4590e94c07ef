import { defineConfig } from 'vitest/config'
import base from './vitest.config.js'

const { projects: _, ...shared } = base.test ?? {}
const globalSetup = ['./test/support/store-template.ts']

/** `npm run test:interop`: against peers from PyPI, which `npm test` never needs. */
export default defineConfig({ ...base, test: { ...shared, globalSetup, include: ['test/interop/**/*.test.ts'] } })
