import 'reflect-metadata'
import { instanceCachingFactory, container as root } from 'tsyringe'
import { errors } from '../errors.js'
import { type Token, tokenName } from './token.js'

/** The only file that knows tsyringe: tokens to factories, each made once. */
export interface Container {
  provide<T>(token: Token<T>, factory: () => T, by: string): void
  get<T>(token: Token<T>): T
  has(token: Token<unknown>): boolean
}

export function createContainer(): Container {
  const container = root.createChildContainer()
  return {
    provide(token, factory, by) {
      if (container.isRegistered(token as symbol)) throw errors.TOKEN_DUPLICATE({ token: tokenName(token), plugin: by })
      container.register(token as symbol, { useFactory: instanceCachingFactory(factory) })
    },
    get<T>(token: Token<T>): T {
      if (!container.isRegistered(token as symbol)) throw errors.TOKEN_NOT_PROVIDED({ token: tokenName(token) })
      return container.resolve<T>(token as symbol)
    },
    has: (token) => container.isRegistered(token as symbol),
  }
}
