import { codeOf, type TidewayError } from '@tideway/core'
import { PROBES } from './probes.js'
import { type Measured, selfTest } from './self-test.js'

export type Answer = { readonly measured: Measured } | { readonly error: string }

/** The self-test that the first argument names, in a process of its own; its answer goes to the parent. */
async function answer(id: string | undefined): Promise<Answer> {
  const probe = PROBES.find((known) => known.id === id)
  if (probe === undefined) return { error: `there is no self-test ${id}` }
  try {
    return { measured: await selfTest(probe) }
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

/** Without other providers and how to get this one, which the table tells, and without the engine's source lines. */
function reasonOf(error: unknown): string {
  const { reason } =
    codeOf(error) === 'PROVIDER_UNAVAILABLE' ? ((error as TidewayError).data as { reason?: string }) : {}
  const text = reason ?? (error instanceof Error ? error.message : String(error))
  return text.replace(/^\S*onnxruntime_src\S* .* was false\. /, '').replace(/ \(get it: .*\)$/, '')
}

const said = await answer(process.argv[2])
process.send?.(said, () => process.exit(0))
