import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Token } from './token.js'

/** What a plugin sees of the host: it gives and takes, and never meets the container. */
export interface Scope {
  /** Gives something to the host, made once, on first use. Throws `TOKEN_DUPLICATE` when another plugin gave it already. */
  provide<T>(token: Token<T>, factory: () => T): void
  /** Takes something given by the host or an earlier plugin. Throws `TOKEN_NOT_PROVIDED`. */
  get<T>(token: Token<T>): T
  has(token: Token<unknown>): boolean
}

export interface PluginHooks {
  /** Called after every plugin is registered, in order of registration: what it needs has started. */
  start?(): Promise<void> | void
  /** Called in reverse order, also when a later plugin failed to start. */
  stop?(): Promise<void> | void
}

export interface PluginDefinition<Options> {
  readonly name: string
  /** Any Standard Schema (zod, valibot, arktype, ...); a plugin without options leaves it out. */
  readonly options?: StandardSchemaV1<unknown, Options>
  /** Semver range of `@tideway/core`'s major versions that it works with: `^0.1.0`. */
  readonly host?: string
  /** Tokens that it gives: those that need them come after it, and the host's own give way to it. */
  readonly provides?: readonly Token<unknown>[]
  /** Tokens that it takes: those that provide them are registered and started before it. */
  readonly needs?: readonly Token<unknown>[]
  /** The same for tokens that it takes where something provides them, and does without elsewhere. */
  readonly wants?: readonly Token<unknown>[]
  /** Gives and takes; returns what to do when the host starts and stops. */
  register(scope: Scope, options: Options): PluginHooks | void
}

/** A plugin together with the options that it is to be registered with. */
export interface PluginUse {
  readonly plugin: PluginDefinition<never>
  readonly options: unknown
}

/** A defined plugin: call it with its options to use it. */
export type Plugin<Options, Input = Options> = ((options?: Input) => PluginUse) & {
  readonly definition: PluginDefinition<Options>
}

/**
 * Defines a plugin.
 *
 * @example
 * export const clock = definePlugin({
 *   name: 'clock',
 *   provides: [CLOCK],
 *   options: z.object({ zone: z.string().default('UTC') }),
 *   register: (scope, options) => scope.provide(CLOCK, () => createClock(options.zone)),
 * })
 * // in tideway.config.ts
 * export default defineConfig({ plugins: [clock({ zone: 'Europe/Paris' })] })
 */
export function definePlugin<Schema extends StandardSchemaV1>(
  definition: Omit<PluginDefinition<StandardSchemaV1.InferOutput<Schema>>, 'options'> & { readonly options: Schema },
): Plugin<StandardSchemaV1.InferOutput<Schema>, StandardSchemaV1.InferInput<Schema>>
export function definePlugin(definition: Omit<PluginDefinition<undefined>, 'options'>): Plugin<undefined>
export function definePlugin(definition: PluginDefinition<never>): Plugin<never, unknown> {
  const use = (options?: unknown): PluginUse => ({ plugin: definition, options })
  return Object.assign(use, { definition })
}
