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

/** Their files share a process and what it has loaded, which takes longer than they do: they compute, and start nothing. */
const COMPUTING = ['core/src', 'runtimes/{onnx,training}/src', 'plugins/{monitor-drift,data-files}/src']
const OUTSIDE = ['**/node_modules/**', '**/dist/**']
const testsIn = (folders: readonly string[]) => folders.map((folder) => `${folder}/**/*.test.ts`)

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      { extends: true, test: { name: 'computing', isolate: false, include: testsIn(COMPUTING), exclude: OUTSIDE } },
      {
        extends: true,
        test: {
          name: 'all else',
          include: testsIn([
            '{core,edge}/src',
            'cloud/**/src',
            '{plugins,runtimes,examples}/*/src',
            'test/{contract,e2e,golden,repo}',
          ]),
          exclude: [...OUTSIDE, ...testsIn(COMPUTING)],
          globalSetup: ['./test/support/store-template.ts'],
        },
      },
    ],
    reporters: ['default', './test/support/reporter.ts'],
    // Many tests wait for processes and timers: on two cores, too, two files at once take two thirds of the time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    // In place of one second, which a busy machine may take for a single answer.
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 120_000,
  },
})
