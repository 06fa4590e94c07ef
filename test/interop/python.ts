import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** What came of each check of a script; null where it holds. */
export type Checks = Readonly<Record<string, string | null>>

/** The interpreter with what these suites need from PyPI; TIDEWAY_PYTHON names another than `python3`. */
export const python = process.env.TIDEWAY_PYTHON ?? 'python3'

/** The interpreter with KServe's package, whose dependencies are many: TIDEWAY_KSERVE_PYTHON, else the same as above. */
export const kservePython = process.env.TIDEWAY_KSERVE_PYTHON ?? python

/** Whether an interpreter finds a package, without the seconds that importing it takes. */
export function has(interpreter: string, name: string): boolean {
  const found = `import importlib.util, sys; sys.exit(importlib.util.find_spec(${JSON.stringify(name)}) is None)`
  return spawnSync(interpreter, ['-c', found]).status === 0
}

/** Runs a script of this folder that prints what came of its checks. */
export async function checksOf(interpreter: string, script: string, args: readonly string[]): Promise<Checks> {
  const path = fileURLToPath(new URL(`./${script}`, import.meta.url))
  // Without writing bytecode of what scripts share beside it.
  const { stdout } = await promisify(execFile)(interpreter, ['-B', path, ...args])
  // Libraries may print before.
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Checks
}
