import { describe, it } from 'vitest'
import { RUNTIME_TITLES, type RuntimeSubject, type RuntimeTest, runRuntimeCase } from './runtime-cases.js'

export type { RuntimeSubject, RuntimeTest } from './runtime-cases.js'

/**
 * The suite that every `Runtime` runs; a runtime's own test file is a call to it and what is special about it. For one
 * that lives elsewhere (in a page), `run` runs a case there.
 */
export function runtimeContract(
  name: string,
  subject: RuntimeSubject | (Pick<RuntimeSubject, 'exceptions'> & { run(id: RuntimeTest): Promise<void> }),
): void {
  describe(`runtime contract: ${name}`, () => {
    for (const [key, title] of Object.entries(RUNTIME_TITLES)) {
      const id = key as RuntimeTest
      const body = () => ('run' in subject ? subject.run(id) : runRuntimeCase(id, subject))
      const exception = subject.exceptions?.[id]
      if (exception === undefined) it(title, body)
      else it.skip(`${title} (not here: ${exception})`, body)
    }
  })
}
