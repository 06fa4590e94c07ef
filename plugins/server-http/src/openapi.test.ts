import { Validator } from '@seriousme/openapi-schema-validator'
import { beforeAll, describe, expect, it } from 'vitest'
import { createApp } from './app.js'

interface Document {
  openapi: string
  paths: Record<string, Record<string, { operationId: string; parameters?: { name: string }[]; requestBody?: unknown }>>
}

const app = createApp({})
let document: Document

beforeAll(async () => {
  document = (await (await app.request('http://localhost/openapi.json')).json()) as Document
})

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    expect(document.openapi).toBe('3.1.0')
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)) as Record<string, unknown>)
    expect(result).toEqual({ valid: true })
  })

  it('lists every route that the app has, and no other', () => {
    const served = app.routes
      .filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    // hono answers HEAD by GET's handler, so it is no route of its own.
    expect(documented.filter((route) => !route.startsWith('HEAD ')).sort()).toEqual(served.sort())
    expect(served.length).toBeGreaterThan(40)
  })

  it('names every path parameter and every body', () => {
    for (const [path, item] of Object.entries(document.paths))
      for (const [method, operation] of Object.entries(item)) {
        const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        const given = operation.parameters?.map(({ name }) => name) ?? []
        expect(given, `${method} ${path}`).toEqual(expect.arrayContaining(names))
        if (['post', 'put', 'patch'].includes(method)) expect(operation.requestBody, `${method} ${path}`).toBeDefined()
      }
  })

  it('gives every operation its own id', () => {
    const ids = Object.values(document.paths).flatMap((item) =>
      Object.values(item).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })
})
