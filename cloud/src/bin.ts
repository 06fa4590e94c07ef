#!/usr/bin/env node
import { createProgram } from './commands/program.js'

try {
  const program = await createProgram(process.argv.slice(2))
  await program.parseAsync()
} catch (error) {
  const { fail } = await import('./view/output.js')
  fail(error, process.argv.includes('--json'))
}
