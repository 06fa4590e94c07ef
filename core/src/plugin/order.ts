import { errors } from '../errors.js'
import type { PluginUse } from './plugin.js'
import type { Token } from './token.js'

/** A plugin to be registered, with what of its own it must not give: another gives that in its place. */
export interface Placed extends PluginUse {
  readonly replaced: ReadonlySet<Token<unknown>>
}

const NONE: ReadonlySet<Token<unknown>> = new Set()

/** Plugins that replace nothing. */
export function place(uses: readonly PluginUse[]): Placed[] {
  return uses.map((use) => ({ ...use, replaced: NONE }))
}

/**
 * Defaults with the plugins that replace them, token by token. A default of which nothing is left is left out. What
 * replaces a default stands in its place, so that it starts when the default would have; what only adds comes last.
 */
export function replaceDefaults(defaults: readonly PluginUse[], plugins: readonly PluginUse[]): Placed[] {
  const taken = new Set(plugins.flatMap(givenBy))
  const left = new Set(place(plugins))
  const placed = defaults.flatMap((use): Placed[] => {
    const given = givenBy(use)
    const replaced = new Set(given.filter((token) => taken.has(token)))
    const replacing = [...left].filter((other) => givenBy(other).some((token) => replaced.has(token)))
    for (const other of replacing) left.delete(other)
    const isUnused = given.length > 0 && replaced.size === given.length
    return isUnused ? replacing : [...replacing, { ...use, replaced }]
  })
  return [...placed, ...left]
}

/** In the order given, but what a plugin needs or wants comes before it. Throws `PLUGIN_CYCLE`. */
export function inOrderOfNeed(uses: readonly Placed[]): Placed[] {
  const ordered = new Set<Placed>()
  const add = (use: Placed, path: readonly Placed[]) => {
    if (ordered.has(use)) return
    const cycle = path.slice(path.indexOf(use))
    if (path.includes(use)) throw errors.PLUGIN_CYCLE({ plugins: cycle.map(({ plugin }) => plugin.name) })
    const needs = new Set([...(use.plugin.needs ?? []), ...(use.plugin.wants ?? [])])
    for (const other of uses)
      if (givenBy(other).some((token) => needs.has(token) && !other.replaced.has(token))) add(other, [...path, use])
    ordered.add(use)
  }
  for (const use of uses) add(use, [])
  return [...ordered]
}

function givenBy({ plugin }: PluginUse): readonly Token<unknown>[] {
  return plugin.provides ?? []
}
