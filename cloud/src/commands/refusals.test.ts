import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createProgram } from './program.js'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

const run = async (...args: string[]) => (await createProgram(args)).parseAsync(args, { from: 'user' })
const refused = async (run: Promise<unknown>, code: string, ...said: (string | RegExp)[]) => {
  const error: unknown = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ code })
  for (const part of said) expect(String(error)).toMatch(part)
  return String(error)
}

describe('`tideway up` and `tideway serve`', () => {
  it('name the variable of the environment whose key is too short', async () => {
    vi.stubEnv('TIDEWAY_ADMIN_KEY', 'short')
    const said = /TIDEWAY_ADMIN_KEY has 5 characters.*at least 16/
    await refused(run('up', '--no-config', '--host', '0.0.0.0'), 'ADMIN_KEY_TOO_SHORT', said)
    await refused(run('serve', `m=${import.meta.filename}`, '--host', '0.0.0.0'), 'ADMIN_KEY_TOO_SHORT', said)
    // Loads all that both commands stand on.
  }, 60_000)
})

describe('`tideway up`', () => {
  it('names the options that are wrong, and no configuration', async () => {
    const options = ['--serve-processes', '0', '--nats', '', '--cloud', 'ftp://x', '--mqtt', 'mqtt://x', '--host', '']
    const error = await refused(
      run('up', '--no-config', ...options),
      'UP_ORDER_INVALID',
      '--serve-processes: ',
      '--nats: ',
      '--cloud: ',
      '--mqtt: ',
      '--host: ',
    )
    expect(error).not.toContain('defineConfig')
  })
})

describe('`tideway register`', () => {
  it('names all that is wrong with files, names and aliases before the cloud is asked', async () => {
    const options = ['--alias', '7', '--classes', 'a', 'a', '--cloud', 'http://127.0.0.1:1']
    const files = ['No Name.onnx', import.meta.filename, import.meta.filename]
    await refused(
      run('register', ...files, ...options),
      'REGISTER_ORDER_INVALID',
      /"No Name" is no name of a model/,
      /No Name\.onnx: there is no such file/,
      /refusals\.test\.ts: it is named twice/,
      /--alias 7: it is no name/,
      /--classes: a is there twice/,
    )
  })
})

describe('`tideway ab start`', () => {
  it('names every option that is no number before the cloud is asked', async () => {
    const arms = ['--control', '1', '--treatment', '2', '--metric', 'binary', '--cloud', 'http://127.0.0.1:1']
    const numbers = ['--least-effect', 'some', '--baseline', '', '--alpha', '5%', '--beta', '0.2', '--max-units', '1e5']
    await refused(
      run('ab', 'start', 'mine', ...arms, ...numbers),
      'AB_OPTIONS_INVALID',
      /: --least-effect must be a number; --baseline must be a number; --alpha must be a number\./,
    )
  })
})

describe('`tideway traffic`', () => {
  // Refused before the cloud is asked.
  const traffic = (what: string, ...options: string[]) =>
    run('traffic', what, 'mine', '--cloud', 'http://127.0.0.1:1', ...options)

  it.each([
    [['--stable', '1', '--percent', '30'], [/--canary is missing/]],
    [['--stable', '1', '--canary', '2'], [/--percent is missing/]],
    [['--percent', 'many'], [/--stable is missing; --canary is missing; --percent must be a number/]],
    [['--green', '2'], [/--blue is missing/]],
    [['--only', '1', '--weights', '1=50,2=50'], [/more than one kind/]],
    [['--shadow', '2', '--abs', ''], [/--abs must be a number/]],
    [['--weights', '1=50,2'], [/--weights must be VERSION=PERCENT/]],
    [[], [/no kind/]],
  ])('set %j is refused with the options that are missing or wrong', async (options, said) => {
    await refused(traffic('set', ...options), 'TRAFFIC_OPTIONS_INVALID', ...said)
  })

  it('switch is refused with a percentage that is none', async () => {
    await refused(traffic('switch', '--percent', 'many'), 'TRAFFIC_OPTIONS_INVALID', /--percent must be a number/)
  })
})

it('`tideway models` of a cloud that has none says how to make one', async ({ onTestFinished }) => {
  const cloud = createServer((_, response) => response.end('{"models":[]}')).listen(0, '127.0.0.1')
  onTestFinished(() => void cloud.close())
  await once(cloud, 'listening')
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  await run('models', '--cloud', `http://127.0.0.1:${(cloud.address() as AddressInfo).port}`)
  expect(write).toHaveBeenCalledWith(expect.stringMatching(/No models yet\. .*tideway train/))
})
