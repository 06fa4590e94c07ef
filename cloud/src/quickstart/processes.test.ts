import { expect, it } from 'vitest'
import { lastWords } from './processes.js'

it('gives the last line of a log as one line, with the causes that are indented under it', () => {
  const log = 'started\nSTART_FAILED: the link did not start\n  because LINK_UNAVAILABLE: nobody answers\n'
  expect(lastWords(log)).toBe('START_FAILED: the link did not start because LINK_UNAVAILABLE: nobody answers')
  expect(lastWords('one\ntwo')).toBe('two')
  expect(lastWords('')).toBe('')
})
