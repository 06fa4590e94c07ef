import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.js'
import { chooseVulkanDriver } from './test/support/vulkan-driver.js'

chooseVulkanDriver()

/**
 * Tests import the packages' TypeScript sources, processes that they start run what `tsc -b` built. `import` and
 * `default` hold anyway; named here, they would hold for `require` inside of packages too, which breaks pg.
 */
const conditions = ['@tideway/source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      '{core,edge}/src/**/*.test.ts',
      'cloud/**/src/**/*.test.ts',
      '{plugins,runtimes,examples}/*/src/**/*.test.ts',
      'test/{contract,e2e,golden,repo}/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', '**/dist/**'],
    reporters: ['default', './test/support/reporter.ts'],
    // Many tests wait for processes and timers: on two cores, too, two files at once take two thirds of the time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    globalSetup: ['./test/support/store-template.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
