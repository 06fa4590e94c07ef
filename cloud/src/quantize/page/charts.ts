import type { Interval } from '../intervals.js'
import { escaped, shortened, visible } from './text.js'

const WIDTH = 900
const MOST_LABEL = 34

const n = (value: number): string => String(Number(value.toFixed(1)))

function svg(height: number, title: string, parts: readonly string[], width = WIDTH): string {
  const look = width === WIDTH ? '' : ` style="max-width:${n((width / WIDTH) * 57.5)}rem"`
  return [
    `<svg${look} viewBox="0 0 ${width} ${n(height)}" role="img" aria-label="${escaped(title)}">`,
    `<title>${escaped(title)}</title>`,
    ...parts,
    '</svg>',
  ].join('\n')
}

const label = (name: string, x: number, y: number): string =>
  `<text x="${x - 10}" y="${n(y)}" text-anchor="end">${escaped(shortened(name, MOST_LABEL))}<title>${escaped(name)}</title></text>`

/** Where a chart begins behind its names: about 7 units a character. */
function besides(names: readonly string[]): number {
  return 20 + 7 * Math.max(3, ...names.map((name) => Math.min(MOST_LABEL, visible(name).length)))
}

export interface Bar {
  readonly name: string
  readonly value: number
  readonly text: string
  readonly look: 'float' | 'small' | 'bad'
}

/** Horizontal bars from 0, each with its name before and its value behind it. */
export function bars(title: string, list: readonly Bar[]): string {
  const most = Math.max(...list.map(({ value }) => value), Number.MIN_VALUE)
  const left = besides(list.map(({ name }) => name))
  const room = WIDTH - left - 110
  const parts = list.flatMap(({ name, value, text, look }, at) => {
    const y = at * 28 + 4
    const length = Math.max(1, (Math.max(0, value) / most) * room)
    return [
      label(name, left, y + 15),
      `<rect class="${look}" x="${left}" y="${y}" width="${n(length)}" height="20" rx="3"/>`,
      `<text x="${n(left + length + 8)}" y="${y + 15}">${escaped(text)}</text>`,
    ]
  })
  return svg(list.length * 28 + 4, title, parts)
}

export interface Pair {
  readonly name: string
  readonly float: Interval & { readonly share: number }
  readonly small: Interval & { readonly share: number }
  /** More, when the pointer rests on it. */
  readonly text: string
}

/** Two shares a row, before and after, each with its interval, on an axis that begins where the data does. */
export function pairs(title: string, list: readonly Pair[]): string {
  const lowest = Math.min(...list.flatMap(({ float, small }) => [float.low, small.low]))
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((candidate) => (1 - lowest) / candidate <= 8) ?? 0.2
  const from = Math.max(0, Math.floor(lowest / step + 1e-9) * step)
  const left = besides(list.map(({ name }) => name))
  const right = WIDTH - 30
  const along = (share: number) => left + ((share - from) / (1 - from)) * (right - left)
  const bottom = list.length * 30 + 6
  const ticks = Array.from({ length: Math.round((1 - from) / step) + 1 }, (_, at) => from + at * step)
  const grid = ticks.flatMap((tick) => [
    `<path class="grid" d="M${n(along(tick))} 0V${bottom}"/>`,
    `<text class="soft" x="${n(along(tick))}" y="${bottom + 18}" text-anchor="middle">${Math.round(100 * tick)}%</text>`,
  ])
  const rows = list.flatMap(({ name, float, small, text }, at) => {
    const y = at * 30 + 18
    const whisker = (side: 'float' | 'small', { low, high, share }: Pair['float'], dy: number) => [
      `<path class="whisker ${side}" d="M${n(along(low))} ${y + dy}H${n(along(high))}"/>`,
      `<circle class="${side}" cx="${n(along(share))}" cy="${y + dy}" r="4.5"/>`,
    ]
    return [
      `<g><title>${escaped(text)}</title>`,
      label(name, left, y + 4),
      ...whisker('float', float, -5),
      ...whisker('small', small, 5),
      '</g>',
    ]
  })
  return svg(bottom + 26, title, [...grid, ...rows])
}

export interface Cell {
  readonly row: number
  readonly column: number
  /** Rows more (or fewer) than before. */
  readonly change: number
  readonly text: string
}

/** A square of changes: what got better in one hue, what got worse in the other, by how much in strength. */
export function changes(title: string, names: readonly string[], cells: readonly Cell[]): string {
  const size = Math.min(40, Math.floor((WIDTH - 130) / names.length))
  const [left, top] = [120, 64]
  const most = Math.max(1, ...cells.map(({ change }) => Math.abs(change)))
  const known = new Map(cells.map((cell) => [cell.row * names.length + cell.column, cell]))
  const parts: string[] = [
    `<text class="soft" x="${left}" y="16">called →</text><text class="soft" x="0" y="${top - 10}">is ↓</text>`,
  ]
  for (const [at, name] of names.entries()) {
    const center = at * size + size / 2
    const full = `<title>${escaped(name)}</title>`
    parts.push(
      `<text x="${left - 8}" y="${n(top + center + 4)}" text-anchor="end">${escaped(shortened(name, 14))}${full}</text>`,
      `<text x="${n(left + center)}" y="${top - 10}" text-anchor="middle">${escaped(shortened(name, Math.max(2, Math.floor(size / 8))))}${full}</text>`,
    )
  }
  for (let row = 0; row < names.length; row += 1)
    for (let column = 0; column < names.length; column += 1) {
      const cell = known.get(row * names.length + column)
      const [x, y, side] = [left + column * size, top + row * size, size - 2]
      const change = cell?.change ?? 0
      const isGood = row === column ? change > 0 : change < 0
      // The number on it stays readable in light and dark.
      const strength = 0.2 + 0.45 * (Math.abs(change) / most)
      parts.push(
        `<g><title>${escaped(cell?.text ?? `${names[row]} called ${names[column]}: none`)}</title>` +
          `<rect class="empty" x="${x}" y="${y}" width="${side}" height="${side}" rx="3"/>` +
          (change === 0
            ? ''
            : `<rect class="${isGood ? 'good' : 'bad'}" fill-opacity="${strength.toFixed(2)}" x="${x}" y="${y}" width="${side}" height="${side}" rx="3"/>` +
              `<text x="${n(x + side / 2)}" y="${n(y + side / 2 + 4.5)}" text-anchor="middle">${change > 0 ? '+' : '−'}${Math.abs(change)}</text>`) +
          '</g>',
      )
    }
  const width = Math.max(300, left + names.length * size + 10)
  return svg(top + names.length * size + 4, title, parts, width)
}
