/** Metrics by name, of each epoch in order; one that an epoch lacks leaves a gap. */
export type History = readonly Readonly<Record<string, number>>[]

const SIZE = { width: 860, height: 420 }
const PLOT = { left: 72, right: 788, top: 56, bottom: 360 }
/** So many points are as fine as the picture. */
const MAX_POINTS = 720
const TICKS = 5

/** The curves that are drawn, where the history has them; two hues by axis, validation dashed: also told apart in grey. */
const CURVES = [
  { key: 'loss', label: 'loss', axis: 'left' },
  { key: 'valLoss', label: 'validation loss', axis: 'left' },
  { key: 'accuracy', label: 'accuracy', axis: 'right' },
  { key: 'valAccuracy', label: 'validation accuracy', axis: 'right' },
] as const

const STYLE = `
text{font:13px system-ui,sans-serif;fill:#333}
.paper{fill:#fff}.grid{stroke:#ddd}.axis{stroke:#777}
.left{stroke:#0b62b8}.right{stroke:#b4500b}
.curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.validation{stroke-dasharray:6 5}
@media (prefers-color-scheme:dark){
text{fill:#ddd}.paper{fill:#16181c}.grid{stroke:#33373d}.axis{stroke:#888}
.left{stroke:#6cb2f5}.right{stroke:#f2a35e}}`

/**
 * Learning curves as an SVG of 860 x 420: losses on the left axis, accuracies (shares, 0 to 1) on the right one, epochs
 * counted from 1 below. Needs nothing from elsewhere and follows the viewer's light or dark colours. A value that is not
 * finite leaves a gap.
 *
 * @example
 * await writeFile('curves.svg', learningCurves(trained.history))
 */
export function learningCurves(history: History): string {
  const curves = CURVES.map((curve) => ({ ...curve, points: pointsOf(history, curve.key) })).filter(
    ({ points }) => points.length > 0,
  )
  const along = (epoch: number) =>
    history.length < 2 ? (PLOT.left + PLOT.right) / 2 : place(epoch, [1, history.length], PLOT.left, PLOT.right)
  const axes = (['left', 'right'] as const).flatMap((side) => {
    const values = curves.filter(({ axis }) => axis === side).flatMap(({ points }) => points.map(({ value }) => value))
    return values.length === 0 ? [] : [{ side, ticks: niceTicks(values) }]
  })
  const grid = axes.flatMap(({ side, ticks }, at) => verticalAxis(side, ticks, at === 0))
  const drawn = curves.flatMap((curve, at) => {
    const ticks = axes.find(({ side }) => side === curve.axis)?.ticks ?? [0, 1]
    const up = (value: number) => place(value, [ticks[0] ?? 0, ticks.at(-1) ?? 1], PLOT.bottom, PLOT.top)
    const look = `class="curve ${curve.axis}${curve.key.startsWith('val') ? ' validation' : ''}"`
    const from = PLOT.left + at * 170
    return [
      `<path ${look} d="${pathOf(curve.points, along, up)}"/>`,
      `<path ${look} d="M${from} 24h28"/><text x="${from + 36}" y="28">${curve.label}</text>`,
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" height="${SIZE.height}" role="img">`,
    `<title>Learning curves of ${history.length} ${history.length === 1 ? 'epoch' : 'epochs'}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${SIZE.width}" height="${SIZE.height}"/>`,
    ...grid,
    ...epochAxis(history.length, along),
    ...drawn,
    '</svg>\n',
  ].join('\n')
}

interface Point {
  readonly epoch: number
  readonly value: number
  /** Nothing is drawn from the point before. */
  readonly isFirst: boolean
}

/** The finite values of a metric, thinned evenly where there are more than can be seen; the last one stays. */
function pointsOf(history: History, key: string): Point[] {
  const every = Math.ceil(history.length / MAX_POINTS)
  let isFirst = true
  return history.flatMap((metrics, at) => {
    const value = metrics[key]
    if (value === undefined || !Number.isFinite(value)) {
      isFirst = true
      return []
    }
    if (at % every !== 0 && at !== history.length - 1) return []
    const point = { epoch: at + 1, value, isFirst }
    isFirst = false
    return [point]
  })
}

const short = (value: number): string => String(Number(value.toFixed(1)))

/** Lines between neighbours; a point without one is a dot. */
function pathOf(points: readonly Point[], along: (epoch: number) => number, up: (value: number) => number): string {
  return points
    .map(({ epoch, value, isFirst }, at) => {
      const where = `${short(along(epoch))} ${short(up(value))}`
      const isAlone = isFirst && points[at + 1]?.isFirst !== false
      return `${isFirst ? 'M' : 'L'}${where}${isAlone ? 'h0.1' : ''}`
    })
    .join('')
}

function place(value: number, [low, high]: readonly [number, number], from: number, to: number): number {
  return from + ((value - low) / (high - low)) * (to - from)
}

function verticalAxis(side: 'left' | 'right', ticks: readonly number[], hasGrid: boolean): string[] {
  const x = PLOT[side]
  const range = [ticks[0] ?? 0, ticks.at(-1) ?? 1] as const
  const anchor = side === 'left' ? `x="${x - 10}" text-anchor="end"` : `x="${x + 10}"`
  const title = side === 'left' ? 'loss' : 'accuracy'
  const middle = (PLOT.top + PLOT.bottom) / 2
  const titleX = side === 'left' ? 18 : SIZE.width - 14
  return [
    ...ticks.flatMap((tick) => {
      const y = short(place(tick, range, PLOT.bottom, PLOT.top))
      const line = hasGrid ? [`<path class="grid" d="M${PLOT.left} ${y}H${PLOT.right}"/>`] : []
      return [...line, `<text ${anchor} y="${Number(y) + 4.5}">${numberText(tick)}</text>`]
    }),
    `<path class="axis" d="M${x} ${PLOT.top}V${PLOT.bottom}"/>`,
    `<text transform="translate(${titleX} ${middle}) rotate(-90)" text-anchor="middle">${title}</text>`,
  ]
}

function epochAxis(epochs: number, along: (epoch: number) => number): string[] {
  const step = Math.max(1, niceStep(Math.max(epochs - 1, 1) / 8))
  const whole = Array.from({ length: epochs }, (_, at) => at + 1).filter((epoch) => epoch === 1 || epoch % step === 0)
  return [
    `<path class="axis" d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}"/>`,
    ...whole.map(
      (epoch) => `<text x="${short(along(epoch))}" y="${PLOT.bottom + 22}" text-anchor="middle">${epoch}</text>`,
    ),
    `<text x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 46}" text-anchor="middle">epoch</text>`,
  ]
}

/** The next 1, 2 or 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10
  return factor * power
}

/** Round numbers around all values, about five; equal values lie in the middle. */
function niceTicks(values: readonly number[]): number[] {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const margin = low === high ? Math.abs(low) / 2 || 0.5 : 0
  const step = niceStep((high - low + 2 * margin) / TICKS)
  const first = Math.floor((low - margin) / step + 1e-9)
  const count = Math.ceil((high + margin) / step - 1e-9) - first
  return Array.from({ length: count + 1 }, (_, at) => (first + at) * step)
}

function numberText(value: number): string {
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e5 || size < 1e-4)) return value.toExponential(1)
  return String(Number(value.toPrecision(6)))
}
