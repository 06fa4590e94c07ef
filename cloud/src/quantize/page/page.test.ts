import { describe, expect, it } from 'vitest'
import { createJudge } from '../judge.js'
import { type QuantizationReport, reportOf } from '../report.js'
import { reportPage } from './page.js'
import { escaped, pointsText, shortened, visible } from './text.js'

const HOSTILE = `"><img src=x onerror=alert(1)><script>alert('&')</script>\u202etxt.exe\u0000\u2028`

const answers = (...data: number[]) => [
  { name: 'y', shape: [3], width: 3, data: Float64Array.from(data), isWhole: false },
]
const latency = { p50: 0.2, p90: 0.3, runs: 100, ratio: 1 }

function report(name: string, change: Partial<Parameters<typeof reportOf>[0]> = {}): QuantizationReport {
  const targets = { dtype: 'int32', shape: [3], data: Int32Array.of(0, 1, 2) } as const
  const judge = createJudge(answers(1, 0, 0, 0, 1, 0, 0, 0, 1), targets)
  const judgement = judge.judge(answers(1, 0, 0, 0, 0, 1, 0, 0, 1))
  return reportOf({
    model: name,
    recipe: 'int8-static',
    float: new Uint8Array(400),
    made: {
      onnx: new Uint8Array(100),
      precision: 'int8',
      quantized: [name],
      kept: [{ node: name, reason: `it reads ${name}` }],
      requires: [name],
    },
    judged: { judge, judgement, calibrationRows: 8, maxLoss: 0.5 },
    classNames: [name, 'b', 'c'],
    latency: { float: latency, small: latency, ratio: 1, machine: name, engine: name },
    layers: [
      { node: name, operator: name, outputSnrDb: 20, weightSnrDb: 40, weights: 9 },
      { node: 'quiet', operator: 'Gemm', outputSnrDb: null, weightSnrDb: null, weights: 9 },
    ],
    tries: [{ recipe: name, what: name, outcome: 'loses', reason: name, seconds: 1 }],
    notes: [name],
    ...change,
  })
}

/** Names of all elements, and of their attributes. */
function tagsOf(html: string) {
  const tags = [...html.matchAll(/<([a-z0-9]+)((?:\s+[a-zA-Z-]+(?:="[^"]*")?)*)\s*\/?>/g)]
  return {
    elements: new Set(tags.map(([, name]) => name)),
    attributes: new Set(
      tags.flatMap(([, , list]) => [...list!.matchAll(/([a-zA-Z-]+)(?:="[^"]*")?/g)].map(([, a]) => a)),
    ),
  }
}

describe('the page of a report', () => {
  it('has no element and no attribute that is not there with harmless names', () => {
    const [harmless, hostile] = [tagsOf(reportPage(report('plain'))), tagsOf(reportPage(report(HOSTILE)))]
    expect(hostile.elements).toEqual(harmless.elements)
    expect(hostile.attributes).toEqual(harmless.attributes)
    expect(hostile.elements).not.toContain('script')
    expect(hostile.elements).not.toContain('img')
    // Every < that is left begins one of our elements, a closing one or the doctype.
    const page = reportPage(report(HOSTILE))
    const known = new RegExp(`</?(${[...harmless.elements].join('|')})[\\s>]|<!doctype`, 'g')
    expect(page.match(/</g)?.length).toBe(page.match(known)?.length)
    for (const unseen of ['\u202e', '\u0000', '\u2028']) expect(page).not.toContain(unseen)
  })

  it('needs nothing from elsewhere', () => {
    const page = reportPage(report(HOSTILE))
    expect(page).not.toMatch(/https?:|url\(|@import|<link|\ssrc="/)
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`)
  })

  it('takes class numbers of any size, as a model that gives dates has them', () => {
    const dates = (...data: number[]) => [
      { name: 'y', shape: [], width: 1, data: Float64Array.from(data), isWhole: true },
    ]
    const targets = { dtype: 'int32', shape: [2], data: Int32Array.of(2_147_483_647, 20_240_101) } as const
    const judge = createJudge(dates(2_147_483_647, 20_240_101), targets)
    const judged = { judge, judgement: judge.judge(dates(20_240_101, 20_240_101)) }
    const made = report('dates', { judged, classNames: undefined })
    expect(made.classes?.map(({ index, rows }) => [index, rows])).toEqual([
      [20_240_101, 1],
      [2_147_483_647, 1],
    ])
    expect(reportPage(made)).toMatch(/2147483647<\/td>\s*<td[^>]*>20240101/)
  })

  it('says what it cost: sizes, score, classes with their intervals, confusions, layers and what stayed float', () => {
    const page = reportPage(report('plain'))
    expect(page).toContain('4.00× smaller')
    expect(page).toContain('−33.33 points')
    expect(page).toContain('within the limit of 50 points')
    expect(page).toContain('b: 1 rows, 1 right before, 0 after')
    expect(page).toContain('b called c: 0 before, 1 after')
    expect(page).toContain('20.0 dB')
    expect(page).toContain('it reads plain')
    // Open elements are closed.
    for (const tag of ['svg', 'table', 'div', 'g', 'p', 'tr'])
      expect(page.match(new RegExp(`<${tag}[\\s>]`, 'g'))?.length).toBe(
        page.match(new RegExp(`</${tag}>`, 'g'))?.length,
      )
    expect(page).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('leaves out what is not known', () => {
    const { judged: _, latency: __, classes: ___, confusion: ____, ...rest } = report('plain')
    const page = reportPage({ ...rest, tries: [], layers: [], kept: [], notes: [] })
    expect(page).toContain('only the size is known')
    expect(page).not.toMatch(/NaN|undefined|Infinity|Latency|per class/)
  })

  it('stays readable with a thousand classes and layers', () => {
    const many = report('plain')
    const classes = Array.from({ length: 1000 }, (_, index) => ({
      ...many.classes![1]!,
      index,
      name: `class ${index}`,
    }))
    const layers = Array.from({ length: 1000 }, (_, at) => ({
      ...many.layers[0]!,
      node: `layer ${at}`,
      outputSnrDb: 50 - at / 50,
    }))
    const confusion = [{ wanted: 999, called: 3, float: 0, small: 2 }]
    const page = reportPage({ ...many, classes, layers, confusion })
    expect(page.length).toBeLessThan(120_000)
    expect(page).toContain('layer 999')
    expect(page).toContain('950 layers with less error are left out')
    expect(page).toContain('<td>class 999</td><td>class 3</td>')
  })
})

describe('texts from outside', () => {
  it('show what cannot be seen, and keep the end of long names', () => {
    expect(visible('a\u001b[31mb\u202e')).toBe('a\\u001b[31mb\\u202e')
    expect(visible('\ud800x')).toBe('\\ud800x')
    expect(escaped(`<a b="c" d='e'>&`)).toBe('&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;')
    expect(shortened('block.1.convolution', 10)).toBe('…nvolution')
  })

  it('have a sign for differences, but none for nothing', () => {
    expect([0.0123, -0.0123, 0, -0, 0.00001, Number.NaN].map(pointsText)).toEqual([
      '+1.23',
      '−1.23',
      '0.00',
      '0.00',
      '0.00',
      'not a number',
    ])
  })
})
