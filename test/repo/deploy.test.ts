import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { createCloud } from '@tideway/cloud'
import { resolveConfig, silentLogger, tokens } from '@tideway/core'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const folder = new URL('../../deploy/', import.meta.url)
const read = (path: string) => readFile(new URL(path, folder), 'utf8')

interface Target {
  readonly refId: string
  readonly expr: string
}
interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly targets?: readonly Target[]
}
interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] }
}
interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

let dashboard: Dashboard
let rules: Rules
/** Names of all series that a cloud tells of, with the labels that those have which are there from the start. */
let told: Set<string>

beforeAll(async () => {
  dashboard = JSON.parse(await read('grafana/tideway.json')) as Dashboard
  rules = parse(await read('prometheus/alerts.yml')) as Rules
  const dir = await mkdtemp(join(tmpdir(), 'tideway-deploy-'))
  const config = { dir, http: { port: 0 }, broker: { port: 0 }, traces: { url: 'http://127.0.0.1:9', sampleRatio: 0 } }
  const cloud = await createCloud(resolveConfig(config), silentLogger)
  await cloud.start()
  told = namesIn(await (await fetch(`${cloud.get(tokens.server).url}/metrics`)).text())
  await cloud.stop()
  await rm(dir, { recursive: true, force: true })
})

function namesIn(text: string): Set<string> {
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)] as unknown as readonly [string, string, string][]
  const names = types.flatMap(([, name, type]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  )
  // Prometheus makes this one itself, for each thing that it scrapes.
  return new Set([...names, 'up'])
}

/** Of metrics in an expression of PromQL; throws where it is none. */
function metricsOf(expression: string): string[] {
  const text = expression.replaceAll('$__rate_interval', '5m')
  const names: string[] = []
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new SyntaxError(`no PromQL at ${node.from}: ${text}`)
      if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector')
        names.push(text.slice(node.from, node.to))
    },
  })
  return names
}

function missingIn(expressions: readonly string[]): string[] {
  const names = expressions.flatMap(metricsOf)
  expect(names.length).toBeGreaterThanOrEqual(expressions.length)
  return names.filter((name) => !told.has(name))
}

describe('the dashboard of Grafana', () => {
  it('asks for nothing that a cloud does not tell', () => {
    const targets = dashboard.panels.flatMap((panel) => panel.targets ?? [])
    expect(targets.length).toBeGreaterThan(30)
    expect(missingIn(targets.map(({ expr }) => expr))).toEqual([])
  })

  it('lets choose among what a cloud tells, and uses each choice', () => {
    const { list } = dashboard.templating
    const asked = list.flatMap(({ definition }) => /^label_values\((.+), \w+\)$/.exec(definition ?? '')?.[1] ?? [])
    expect(asked).toHaveLength(2)
    expect(missingIn(asked)).toEqual([])
    const all = JSON.stringify(dashboard.panels)
    for (const { name } of list) expect(all).toMatch(new RegExp(`\\$\\{?${name}\\b`))
    const used = new Set([...all.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name))
    expect([...used].filter((name) => name !== '__rate_interval' && !list.some((one) => one.name === name))).toEqual([])
  })

  it('has what Grafana needs of each panel, in places of their own', () => {
    expect(dashboard).toMatchObject({ uid: 'tideway', title: 'Tideway', schemaVersion: expect.any(Number) as number })
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const { title, type, targets = [], gridPos } of panels) {
      const { x, y, w, h } = gridPos
      expect(title).not.toBe('')
      expect(x + w, title).toBeLessThanOrEqual(24)
      if (type !== 'row') expect(targets.length, title).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      for (let cell = 0; cell < w * h; cell++) {
        const key = `${x + (cell % w)},${y + Math.floor(cell / w)}`
        expect(taken.has(key), `${title} lies on another panel`).toBe(false)
        taken.add(key)
      }
    }
  })
})

describe('the alerts of Prometheus', () => {
  it('ask for nothing that a cloud does not tell', () => {
    const all = rules.groups.flatMap((group) => group.rules)
    expect(all.length).toBeGreaterThan(10)
    expect(missingIn(all.map(({ expr }) => expr))).toEqual([])
    expect(new Set(all.map(({ alert }) => alert)).size).toBe(all.length)
  })
})

it('knows an expression that is none', () => {
  expect(() => metricsOf('sum(rate(a[5m])')).toThrow(SyntaxError)
  expect(metricsOf('sum by (b) (rate(a{c="d"}[$__rate_interval])) / e')).toEqual(['a', 'e'])
})
