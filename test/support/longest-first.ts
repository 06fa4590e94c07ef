import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What starts processes, waits for brokers, or computes on a GPU, or on a processor in its place. */
const LONG = [
  /\/test\/e2e\//,
  /webgpu/,
  /\/(transport-\w+|trainer-\w+)\//,
  /\/test\/(golden|repo)\//,
  /\/cloud\/src\/(up|roles)/,
]

/**
 * The files that take long begin first: one that began last would be waited for by all other workers. How long each took is
 * known to Vitest after a first run alone.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONG.findIndex((pattern) => pattern.test(moduleId.replaceAll('\\', '/')))
      return at < 0 ? LONG.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}
