import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from './program.js'

const named = (program: Command, name: string): Command => {
  const found = program.commands.find((command) => command.name() === name)
  if (found === undefined) throw new Error(`no command ${name}`)
  return found
}
const isWhole = ({ options, commands }: Command): boolean => options.length + commands.length > 0

describe('the tideway command', () => {
  it('lists every command with what it does, and loads none of them, for its help and its version', async () => {
    for (const args of [[], ['--help'], ['--version'], ['no-such-command']]) {
      const program = await createProgram(args)
      expect(program.commands.length).toBeGreaterThan(15)
      for (const command of program.commands) {
        expect(command.description()).not.toBe('')
        expect(isWhole(command)).toBe(false)
      }
    }
  })

  it('loads the one that is asked for, to run it or to tell of it', async () => {
    const names = (await createProgram([])).commands.map((command) => command.name())
    for (const name of names) {
      for (const args of [[name], ['help', name]]) {
        const program = await createProgram(args)
        expect(program.commands.filter(isWhole).map((command) => command.name())).toEqual([name])
      }
    }
  }, 60_000)

  it('takes the arguments that the list says', async () => {
    const train = named(await createProgram(['train', 'mine.ts']), 'train')
    expect(train.registeredArguments.map((argument) => argument.name())).toEqual(['pipeline'])
    expect(train.helpInformation()).toContain('Usage: tideway train [options] <pipeline>')
  })
})
