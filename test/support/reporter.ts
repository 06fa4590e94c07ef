import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Lists what was not run, a line each, and closes with the counts. With TIDEWAY_REQUIRE_ALL (CI) a test that was not run
 * is a failure: there everything that a suite needs is installed.
 */
export default class NotRunReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const count = (state: ReturnType<TestCase['result']>['state']) =>
      tests.filter((test) => test.result().state === state)
    // A contract's named exception is part of what the implementation says of itself, not something left out.
    const [exceptions, skipped] = partition(count('skipped'), (test) => test.name.includes('(not here: '))
    for (const test of exceptions) console.log(`exception: ${test.fullName}`)
    for (const test of skipped) console.log(`not run: ${test.fullName} (${test.module.relativeModuleId})`)
    if (skipped.length > 0 && process.env.TIDEWAY_REQUIRE_ALL) {
      console.error(`${skipped.length} tests were not run, and TIDEWAY_REQUIRE_ALL is set`)
      process.exitCode = 1
    }
    console.log(`${count('passed').length} passed, ${count('failed').length} failed, ${skipped.length} skipped`)
  }
}

function partition<T>(items: readonly T[], belongs: (item: T) => boolean): [T[], T[]] {
  return [items.filter(belongs), items.filter((item) => !belongs(item))]
}
