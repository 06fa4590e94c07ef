import type { Logger } from '@tideway/core'
import { expect, it } from 'vitest'
import { deferredLogger } from './deferred-logger.js'

/** One that remembers, and how often it was made. */
function remembering() {
  const said: string[] = []
  const note = (level: string) => (message: string) => void said.push(`${level} ${message}`)
  const logger: Logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }
  let made = 0
  const make = async () => {
    made++
    return logger
  }
  return { said, make, made: () => made }
}

it('is made with the first message that is to be written, once', async () => {
  const { make, made, said } = remembering()
  const logger = deferredLogger('info', make)
  logger.debug('nobody asked')
  await logger.flush()
  expect(made()).toBe(0)
  logger.warn('first')
  logger.info('second')
  await logger.flush()
  expect([made(), said]).toEqual([1, ['warn first', 'info second']])
})

it('keeps the order of messages that come before, while and after it is made', async () => {
  let ready: () => void = () => undefined
  const until = new Promise<void>((resolve) => {
    ready = resolve
  })
  const { make, said } = remembering()
  const logger = deferredLogger('debug', () => until.then(make))
  logger.info('before')
  const whole = logger.flush().then(() => logger.info('after'))
  logger.error('while')
  ready()
  await whole
  await logger.flush()
  expect(said.map((line) => line.split(' ')[1])).toEqual(['before', 'while', 'after'])
})
