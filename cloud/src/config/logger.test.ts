import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const built = fileURLToPath(new URL('../../dist/config/logger.js', import.meta.url))

/** What a process says on standard error that logs one line of each level. */
function logged(level: string): Record<string, unknown>[] {
  const script = `
    const { createLogger } = await import(${JSON.stringify(built)})
    const logger = createLogger('tideway', ${level})
    for (const level of ['debug', 'info', 'warn', 'error']) logger[level]('said', { requestId: 'r-1' })
  `
  const { stderr, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  expect(stdout).toBe('')
  return stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

it('logs lines of JSON with level, time and what belongs to them, from the level on that is asked for', () => {
  const lines = logged('undefined')
  expect(lines.map(({ level }) => level)).toEqual(['info', 'warn', 'error'])
  for (const { time, msg, requestId, pid } of lines) {
    expect(Math.abs(Date.parse(time as string) - Date.now())).toBeLessThan(60_000)
    expect({ msg, requestId, pid }).toEqual({ msg: 'said', requestId: 'r-1', pid: expect.any(Number) as number })
  }
  expect(logged('"error"').map(({ level }) => level)).toEqual(['error'])
  expect(logged('"debug"')).toHaveLength(4)
})
