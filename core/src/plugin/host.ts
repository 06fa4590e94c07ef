import { errors } from '../errors.js'
import { HOST_VERSION } from '../version.js'
import { createContainer } from './container.js'
import { inOrderOfNeed, type Placed, place, replaceDefaults } from './order.js'
import type { PluginDefinition, PluginHooks, PluginUse, Scope } from './plugin.js'
import { type Token, tokenName } from './token.js'

export interface Host {
  /**
   * Registers plugins in the order given, but what one needs or wants (by the others' `provides`) before it. Throws
   * the `PLUGIN_*` error of the first that cannot be registered.
   */
  use(...plugins: readonly PluginUse[]): void
  /**
   * The same for a host's own plugins together with those that replace them or add to them. A default gives way to what
   * others say that they provide, token by token; one of which nothing is left is not registered: a replaced store
   * opens no database. What replaces a default takes its place in the order, what adds comes last.
   */
  useDefaults(defaults: readonly PluginUse[], plugins: readonly PluginUse[]): void
  provide<T>(token: Token<T>, factory: () => T): void
  get<T>(token: Token<T>): T
  has(token: Token<unknown>): boolean
  /** Starts plugins in order. If one fails, those started are stopped in reverse and `START_FAILED` is thrown. */
  start(): Promise<void>
  /** Stops in reverse order; every plugin is stopped even if one fails, then `STOP_FAILED` names those that did. */
  stop(): Promise<void>
}

interface Registered {
  readonly name: string
  readonly hooks: PluginHooks
}

/** Creates a host: a container, the plugins in it and their lifecycle. */
export function createHost(): Host {
  const container = createContainer()
  const registered: Registered[] = []
  const started: Registered[] = []

  const scopeOf = ({ plugin, replaced }: Placed, given: Set<Token<unknown>>): Scope => ({
    provide(token, factory) {
      given.add(token)
      if (!replaced.has(token)) container.provide(token, factory, plugin.name)
    },
    get: (token) => container.get(token),
    has: (token) => container.has(token),
  })

  function register(use: Placed): void {
    const { plugin, options } = use
    const { name, needs = [], provides = [] } = plugin
    if (registered.some((other) => other.name === name)) throw errors.PLUGIN_DUPLICATE({ plugin: name })
    const missing = needs.filter((token) => !container.has(token))
    if (missing.length > 0) throw errors.PLUGIN_NEEDS({ plugin: name, tokens: missing.map(tokenName) })
    const given = new Set<Token<unknown>>()
    const hooks = plugin.register(scopeOf(use, given), checkOptions(plugin, options) as never)
    // A default may have given way to it: its place would stay empty.
    const promised = provides
      .filter((token) => !given.has(token))
      .map((token) => `provides: it gives no ${tokenName(token)}`)
    if (promised.length > 0) throw errors.PLUGIN_INVALID({ plugin: name, issues: promised })
    registered.push({ name, hooks: hooks ?? {} })
  }

  async function stopStarted(): Promise<void> {
    const failures: { name: string; cause: unknown }[] = []
    for (let item = started.pop(); item; item = started.pop()) {
      try {
        await item.hooks.stop?.()
      } catch (cause) {
        failures.push({ name: item.name, cause })
      }
    }
    if (failures.length > 0) {
      const cause = new AggregateError(failures.map((f) => f.cause))
      throw errors.STOP_FAILED({ plugins: failures.map((f) => f.name) }, cause)
    }
  }

  return {
    use(...plugins) {
      for (const { plugin } of plugins) checkDefinition(plugin)
      for (const use of inOrderOfNeed(place(plugins))) register(use)
    },
    useDefaults(defaults, plugins) {
      for (const { plugin } of [...defaults, ...plugins]) checkDefinition(plugin)
      for (const use of inOrderOfNeed(replaceDefaults(defaults, plugins))) register(use)
    },
    provide: (token, factory) => container.provide(token, factory, 'host'),
    get: (token) => container.get(token),
    has: (token) => container.has(token),
    async start() {
      for (const item of registered.slice(started.length)) {
        try {
          await item.hooks.start?.()
          started.push(item)
        } catch (cause) {
          const failure = errors.START_FAILED({ plugin: item.name }, cause)
          // The plugin's own half-done start is its to clean up; those before it are stopped here.
          await stopStarted().catch((second: unknown) => {
            failure.cause = new AggregateError([cause, second])
          })
          throw failure
        }
      }
    },
    stop: stopStarted,
  }
}

function checkDefinition(plugin: PluginDefinition<never>): void {
  const issues: string[] = []
  if (typeof plugin?.name !== 'string' || plugin.name === '') issues.push('name: must be a non-empty string')
  if (typeof plugin?.register !== 'function') issues.push('register: must be a function')
  if (plugin?.options !== undefined && plugin.options['~standard']?.version !== 1)
    issues.push('options: must be a Standard Schema (version 1)')
  for (const field of ['needs', 'wants', 'provides'] as const)
    if (plugin?.[field] !== undefined && !(Array.isArray(plugin[field]) && plugin[field].every(isToken)))
      issues.push(`${field}: must be tokens`)
  const name = String(plugin?.name || '(unnamed)')
  if (issues.length > 0) throw errors.PLUGIN_INVALID({ plugin: name, issues })
  if (plugin.host !== undefined && !hostMatches(plugin.host, HOST_VERSION))
    throw errors.PLUGIN_HOST_VERSION({ plugin: name, wants: plugin.host, host: HOST_VERSION })
}

function isToken(value: unknown): boolean {
  return typeof value === 'symbol'
}

function checkOptions(plugin: PluginDefinition<never>, options: unknown): unknown {
  if (!plugin.options) {
    if (options === undefined) return undefined
    throw errors.PLUGIN_OPTIONS_INVALID({ plugin: plugin.name, issues: ['(root): this plugin takes no options'] })
  }
  const result = plugin.options['~standard'].validate(options ?? {})
  if (result instanceof Promise)
    throw errors.PLUGIN_INVALID({ plugin: plugin.name, issues: ['options: the schema must validate synchronously'] })
  if (!result.issues) return result.value
  const issues = result.issues.map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return `${path || '(root)'}: ${issue.message}`
  })
  throw errors.PLUGIN_OPTIONS_INVALID({ plugin: plugin.name, issues })
}

/** Caret ranges only, which is all that a host version needs: same major, or same minor below 1.0, and not older. */
function hostMatches(range: string, host: string): boolean {
  const parse = (text: string) => /^\^?(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number)
  const want = parse(range)
  const have = parse(host)
  if (!want || !have) return false
  const [major, minor, patch] = want as [number, number, number]
  const [hostMajor, hostMinor, hostPatch] = have as [number, number, number]
  if (major !== hostMajor) return false
  if (major === 0 && minor !== hostMinor) return false
  return hostMinor > minor || (hostMinor === minor && hostPatch >= patch)
}
