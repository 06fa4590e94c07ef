import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createHost } from './host.js'
import { definePlugin, type PluginUse } from './plugin.js'
import { type Token, token } from './token.js'

const CLOCK = token<{ now: number }>('test/clock@1')
const BELL = token<{ rings: number }>('test/bell@1')

function recorder(log: string[], name: string, failing?: 'start' | 'stop') {
  return definePlugin({
    name,
    register: () => ({
      start() {
        if (failing === 'start') throw new Error('no')
        log.push(`start ${name}`)
      },
      stop() {
        log.push(`stop ${name}`)
        if (failing === 'stop') throw new Error('no')
      },
    }),
  })()
}

describe('providing and taking', () => {
  it('makes a provided thing once, on first use', () => {
    const host = createHost()
    let made = 0
    host.use(definePlugin({ name: 'clock', register: (scope) => scope.provide(CLOCK, () => ({ now: ++made })) })())
    expect(made).toBe(0)
    expect(host.get(CLOCK)).toBe(host.get(CLOCK))
    expect(made).toBe(1)
  })

  it('keeps two hosts apart', () => {
    const [first, second] = [createHost(), createHost()]
    first.provide(CLOCK, () => ({ now: 1 }))
    expect(second.has(CLOCK)).toBe(false)
  })

  it('refuses what is provided twice and what nobody provides', () => {
    const host = createHost()
    host.provide(CLOCK, () => ({ now: 1 }))
    const twice = definePlugin({ name: 'twice', register: (scope) => scope.provide(CLOCK, () => ({ now: 2 })) })
    expect(() => host.use(twice())).toThrow(expect.objectContaining({ code: 'TOKEN_DUPLICATE' }))
    expect(() => host.get(BELL)).toThrow(expect.objectContaining({ code: 'TOKEN_NOT_PROVIDED' }))
  })
})

/** A plugin that gives and needs tokens, and logs its start. */
function part(log: string[], name: string, provides: readonly Token<object>[], needs: readonly Token<object>[] = []) {
  return definePlugin({
    name,
    provides,
    needs,
    register(scope) {
      for (const token of provides) scope.provide<object>(token, () => ({ by: name }))
      return { start: () => void log.push(name) }
    },
  })()
}

describe('the order of plugins', () => {
  it('is the one given, but what a plugin needs comes before it', async () => {
    const log: string[] = []
    const host = createHost()
    host.use(part(log, 'a', []), part(log, 'b', [], [BELL]), part(log, 'c', [BELL], [CLOCK]), part(log, 'd', [CLOCK]))
    await host.start()
    expect(log).toEqual(['a', 'd', 'c', 'b'])
  })

  it('puts what a plugin wants before it, and does without what is not there', async () => {
    const log: string[] = []
    const wanting = definePlugin({
      name: 'wanting',
      wants: [BELL, CLOCK],
      register: () => ({ start: () => void log.push('wanting') }),
    })
    const host = createHost()
    host.use(wanting(), part(log, 'bell', [BELL]))
    await host.start()
    expect(log).toEqual(['bell', 'wanting'])
  })

  it('does not exist where plugins need one another, and the error names them', () => {
    const uses = [part([], 'free', []), part([], 'egg', [CLOCK], [BELL]), part([], 'hen', [BELL], [CLOCK])]
    expect(() => createHost().use(...uses)).toThrow(
      expect.objectContaining({ code: 'PLUGIN_CYCLE', data: { plugins: ['egg', 'hen'] } }),
    )
    expect(() => createHost().use(part([], 'self', [CLOCK], [CLOCK]))).toThrow(/self needs self/)
  })
})

describe('defaults', () => {
  it('give way token by token, and are left out when nothing of them is left', async () => {
    const log: string[] = []
    const host = createHost()
    const defaults = [part(log, 'store', [CLOCK, BELL]), part(log, 'clock', [CLOCK]), part(log, 'none', [])]
    host.useDefaults(defaults, [part(log, 'mine', [CLOCK])])
    await host.start()
    expect(log).toEqual(['mine', 'store', 'none'])
    expect([host.get(CLOCK), host.get(BELL)]).toEqual([{ by: 'mine' }, { by: 'store' }])
  })

  it('have what replaces them in their place, after what it needs; what adds to them comes last', async () => {
    const log: string[] = []
    const host = createHost()
    const defaults = [part(log, 'clock', [CLOCK]), part(log, 'bell', [BELL]), part(log, 'door', [])]
    host.useDefaults(defaults, [part(log, 'extra', [], [BELL]), part(log, 'mine', [BELL], [CLOCK])])
    await host.start()
    expect(log).toEqual(['clock', 'mine', 'door', 'extra'])
  })

  it('may be replaced by a plugin of their own name', () => {
    const host = createHost()
    host.useDefaults([part([], 'clock', [CLOCK])], [part([], 'clock', [CLOCK])])
    expect(host.has(CLOCK)).toBe(true)
  })

  it('stay where a plugin gives the same without saying so, which is an error', () => {
    const silent = definePlugin({ name: 'silent', register: (scope) => scope.provide(CLOCK, () => ({ now: 1 })) })
    const use = () => createHost().useDefaults([part([], 'clock', [CLOCK])], [silent()])
    expect(use).toThrow(expect.objectContaining({ code: 'TOKEN_DUPLICATE' }))
  })

  it('leave no hole where a plugin does not give what it says', () => {
    const empty = definePlugin({ name: 'empty', provides: [CLOCK], register() {} })
    const use = () => createHost().useDefaults([part([], 'clock', [CLOCK])], [empty()])
    expect(use).toThrow(expect.objectContaining({ code: 'PLUGIN_INVALID' }))
  })
})

describe('checks at registration', () => {
  const codeWhenUsed = (...uses: PluginUse[]) => {
    try {
      createHost().use(...uses)
    } catch (error) {
      return (error as { code?: string }).code
    }
    return undefined
  }

  it('gives each failure its own code', () => {
    const needy = definePlugin({ name: 'needy', needs: [CLOCK], register() {} })
    const old = definePlugin({ name: 'old', host: '^9.0.0', register() {} })
    const plain = definePlugin({ name: 'plain', register() {} })
    const strict = definePlugin({ name: 'strict', options: z.object({ port: z.number() }), register() {} })
    expect(codeWhenUsed({ plugin: { name: '' } as never, options: undefined })).toBe('PLUGIN_INVALID')
    expect(codeWhenUsed(definePlugin({ name: 'odd', provides: ['clock'] as never, register() {} })())).toBe(
      'PLUGIN_INVALID',
    )
    expect(codeWhenUsed(needy())).toBe('PLUGIN_NEEDS')
    expect(codeWhenUsed(old())).toBe('PLUGIN_HOST_VERSION')
    expect(codeWhenUsed(plain(), plain())).toBe('PLUGIN_DUPLICATE')
    expect(codeWhenUsed(strict({ port: 'x' } as never))).toBe('PLUGIN_OPTIONS_INVALID')
    expect(codeWhenUsed(plain({} as never))).toBe('PLUGIN_OPTIONS_INVALID')
    expect(codeWhenUsed(strict({ port: 1 }))).toBeUndefined()
  })

  it('names every bad option', () => {
    const strict = definePlugin({
      name: 'strict',
      options: z.object({ port: z.number(), host: z.string() }),
      register() {},
    })
    expect(() => createHost().use(strict({} as never))).toThrow(/port: .*; host: /)
  })
})

describe('lifecycle', () => {
  it('starts in order and stops in reverse', async () => {
    const log: string[] = []
    const host = createHost()
    host.use(recorder(log, 'a'), recorder(log, 'b'))
    await host.start()
    await host.stop()
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  })

  it('stops what had started when a later start fails', async () => {
    const log: string[] = []
    const host = createHost()
    host.use(recorder(log, 'a'), recorder(log, 'b'), recorder(log, 'c', 'start'), recorder(log, 'd'))
    await expect(host.start()).rejects.toMatchObject({ code: 'START_FAILED', data: { plugin: 'c' } })
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  })

  it('stops every plugin even if one fails, and names it', async () => {
    const log: string[] = []
    const host = createHost()
    host.use(recorder(log, 'a'), recorder(log, 'b', 'stop'))
    await host.start()
    await expect(host.stop()).rejects.toMatchObject({ code: 'STOP_FAILED', data: { plugins: ['b'] } })
    expect(log.at(-1)).toBe('stop a')
  })
})
