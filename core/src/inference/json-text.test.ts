import { describe, expect, it } from 'vitest'
import { parseInferJson } from './json-text.js'

const parse = (text: string) => parseInferJson(text, 'the text')

describe('JSON of the protocol', () => {
  it('keeps the digits of long integers, and nothing else is touched', () => {
    const text = String.raw`{"a":[9007199254740993,-9223372036854775808,12],"b":"9007199254740993 \" 1234567890123456","c":1234567890123456.5,"d":1234567890123456e2,"e":0.1234567890123456789,"\\":1234567890123456}`
    const json = parse(text)
    expect(json.nonFinite).toBe(false)
    expect(json.exact()).toEqual({
      a: ['9007199254740993', '-9223372036854775808', 12],
      b: '9007199254740993 " 1234567890123456',
      c: 1234567890123456.5,
      d: 123456789012345600,
      e: 0.12345678901234568,
      '\\': '1234567890123456',
    })
  })

  it('may have NaN and infinities as bare words, which null and numbers beyond all are not', () => {
    const { value, nonFinite } = parse('[NaN, -NaN,Inf,-Inf,Infinity,-Infinity,null,1e999,-1e400,"NaN",true,-1.5e-3]')
    expect(nonFinite).toBe(true)
    const [nan, up, down, nothing] = [null, Infinity, -Infinity, {}]
    expect(value).toEqual([nan, nan, up, down, up, down, nothing, nothing, nothing, 'NaN', true, -0.0015])
  })

  it('has both in one text', () => {
    expect(parse('{"x":[NaN],"n":[18446744073709551615]}').exact()).toEqual({ x: [null], n: ['18446744073709551615'] })
  })

  it.each(['', '{', '[NaN', '{"a":Nan}', '[NaN,]', '[+NaN]', '{NaN:1}', '[infinity]', '["NaN]', 'NaNNaN', '[Infinit]'])(
    'is not %s',
    (text) => {
      expect(() => parse(text)).toThrowError(expect.objectContaining({ code: 'JSON_INVALID' }))
    },
  )

  it('is read in one pass, however long its strings and words are', () => {
    const started = performance.now()
    for (const long of ['\\\\'.repeat(500_000), '1'.repeat(1_000_000), '\\"'.repeat(500_000)])
      parse(`[NaN,"${long}"]`).exact()
    expect(() => parse(`[NaN,"${'\\'.repeat(1_000_001)}`)).toThrowError()
    // Milliseconds; a pass that goes back for each character would take minutes.
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
