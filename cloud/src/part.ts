import { definePlugin, type PluginUse, type Scope, type Token, tokenName } from '@tideway/core'

/** A part of a process that needs no more than a function. */
export function part<T>(token: Token<T>, create: () => T): PluginUse {
  const register = (scope: Scope) => scope.provide(token, create)
  return definePlugin({ name: tokenName(token), provides: [token], register })()
}
