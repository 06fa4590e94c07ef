import { expect, it } from 'vitest'
import { precisionOf, recipeDefaults, recipeSchema, resolveRecipe, SCHEMES, schemeOf } from './recipe.js'

it('gives every scheme its settings, whatever of them is left out', () => {
  for (const scheme of SCHEMES) {
    const resolved = resolveRecipe(scheme)
    expect(resolved).toEqual({ scheme, ...recipeDefaults[scheme] })
    expect(recipeSchema.parse(resolved)).toEqual(resolved)
    expect(resolveRecipe({ scheme })).toEqual(resolved)
  }
  const given = { scheme: 'int4-weights', keep: ['a'], blockSize: undefined } as const
  expect(resolveRecipe({ ...given, keep: ['a'] })).toEqual({ ...resolveRecipe('int4-weights'), keep: ['a'] })
})

it('knows the schemes of the schema and no other', () => {
  expect([...SCHEMES].sort()).toEqual(recipeSchema.options.map((option) => option.shape.scheme.value).sort())
  for (const [precision, scheme] of Object.entries(schemeOf)) expect(precisionOf[scheme]).toBe(precision)
})

it('refuses block sizes and bits that no engine has', () => {
  for (const blockSize of [0, 8, 24, 512, 32.5])
    expect(recipeSchema.safeParse({ scheme: 'int4-weights', blockSize }).success).toBe(false)
  expect(recipeSchema.safeParse({ scheme: 'int8-dynamic', weightBits: 4 }).success).toBe(false)
  expect(recipeSchema.safeParse({ scheme: 'int2-weights' }).success).toBe(false)
})
