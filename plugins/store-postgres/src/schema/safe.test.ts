import { describe, expect, it } from 'vitest'
import { MAX_JSON_DEPTH, safeJson, safeText } from './safe.js'

describe('JSON for PostgreSQL', () => {
  const round = (value: unknown): unknown => JSON.parse(safeJson(value))

  it('is the same JSON for what PostgreSQL can hold', () => {
    const plain = { a: [1, 'é \u{1f30a}', null, true, { b: '\\u0000 \\ud800 \n\t"' }], '\u0001': '\u001f' }
    expect(safeJson(plain)).toBe(JSON.stringify(plain))
  })

  it('replaces U+0000 and lone surrogates in values and keys, and nothing else', () => {
    expect(round({ 'k\0': ['\0', 'a\ud800b', '\udfff', '\\\0', '\\u0000', '\u{1f30a}\ud83c'] })).toEqual({
      'k\ufffd': ['\ufffd', 'a\ufffdb', '\ufffd', '\\\ufffd', '\\u0000', '\u{1f30a}\ufffd'],
    })
  })

  it('cuts off what is nested too deep, and keeps what is not', () => {
    const nest = (levels: number, bottom: unknown): unknown => {
      let value = bottom
      for (let i = 0; i < levels; i++) value = (levels - i) % 2 ? [value] : { value }
      return value
    }
    const cut = nest(MAX_JSON_DEPTH, null)
    const fits = nest(MAX_JSON_DEPTH, 1)
    expect(round(fits)).toEqual(fits)
    expect(round(nest(MAX_JSON_DEPTH + 1, 1))).toEqual(cut)
    expect(round(nest(100_000, 1))).toEqual(cut)
  })

  it('leaves the value that it was given as it was, also when it has a key __proto__', () => {
    let deep: unknown = 1
    for (let i = 0; i < 100; i++) deep = [deep]
    const value = JSON.parse('{"__proto__": {"a": 1}, "b": 2}') as Record<string, unknown>
    value.deep = deep
    const text = JSON.stringify(value)
    expect(safeJson(value)).toContain('"__proto__":{"a":1},"b":2')
    expect(JSON.stringify(value)).toBe(text)
  })

  it('replaces U+0000 in text', () => {
    expect(safeText('a\0b\0')).toBe('a\ufffdb\ufffd')
    expect(safeText('a\\0b')).toBe('a\\0b')
  })
})
