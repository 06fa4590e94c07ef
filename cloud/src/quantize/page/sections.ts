import type { QuantizationReport } from '../report.js'
import { type Bar, bars, changes, pairs } from './charts.js'
import { bytesText, escaped, millisecondsText, percentText, pointsText } from './text.js'

/** So many are as many as a person reads; those that changed most are shown. */
const MAX_CLASSES = 30
const MAX_MATRIX = 16
const MAX_LAYERS = 50
const MAX_PAIRS = 15

const head = (title: string, text: string): string => `<h2>${title}</h2>\n<p class="soft">${text}</p>`
const KEY =
  '<div class="key"><span><i class="float"></i>float model</span><span><i class="small"></i>quantized</span></div>'

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[], numbers: readonly number[] = []) {
  const cell = (tag: string) => (text: string, at: number) =>
    `<${tag}${numbers.includes(at) ? ' class="n"' : ''}>${text}</${tag}>`
  const body = rows.map(
    (row) => `<tr${row[0]?.startsWith('<b>') ? ' class="won"' : ''}>${row.map(cell('td')).join('')}</tr>`,
  )
  return `<div class="scroll"><table><thead><tr>${columns.map(cell('th')).join('')}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`
}

/** What a score is a share of, in words. */
export const MEASURES = {
  classes: 'accuracy',
  agreement: 'agreement with the float model',
  values: 'share of variance explained',
  likeness: "share of the float outputs' variance kept",
} as const

export function tiles({ files, judged, latency, quantized, kept }: QuantizationReport): string {
  const { float, small } = files
  const tile = (name: string, value: string, more: string) =>
    `<div class="tile"><span>${name}</span><b>${value}</b><span>${more}</span></div>`
  const list = [
    tile(
      'size',
      `${(float.bytes / small.bytes).toFixed(2)}× smaller`,
      `${bytesText(float.bytes)} → ${bytesText(small.bytes)}`,
    ),
  ]
  if (judged !== undefined) {
    const { measure, float: before, small: after, loss, interval } = judged
    const range = interval === undefined ? '' : `; 95%: ${pointsText(-interval.high)} to ${pointsText(-interval.low)}`
    list.push(
      tile(MEASURES[measure], `${pointsText(-loss)} points`, `${percentText(before)} → ${percentText(after)}${range}`),
    )
  }
  if (latency !== undefined) {
    const ratio = latency.ratio
    const more = `${millisecondsText(latency.float.p50)} → ${millisecondsText(latency.small.p50)}`
    list.push(tile("time of one run, of the float model's", `${ratio.toFixed(2)}×`, more))
  }
  list.push(
    tile(
      'layers made small',
      String(quantized.length),
      `${kept.length} ${kept.length === 1 ? 'node' : 'nodes'} left in float`,
    ),
  )
  return `<div class="tiles">\n${list.join('\n')}\n</div>`
}

export function sizeAndTime({ files, latency }: QuantizationReport): string {
  const size = (name: string, bytes: number, look: Bar['look']): Bar => ({
    name,
    value: bytes,
    text: bytesText(bytes),
    look,
  })
  const parts = [
    head('Size', 'Bytes of the ONNX file.'),
    bars('file sizes', [size('float', files.float.bytes, 'float'), size('quantized', files.small.bytes, 'small')]),
  ]
  if (latency !== undefined) {
    const bar = (name: string, value: number, look: Bar['look']) => ({
      name,
      value,
      text: millisecondsText(value),
      look,
    })
    const { float, small, machine, engine } = latency
    parts.push(
      head(
        'Latency',
        `One run of one row with ${escaped(engine)} on ${escaped(machine)}, the files in turns (${small.runs} runs each). ` +
          'Devices differ: measure on yours what matters to you.',
      ),
      bars('latencies', [
        bar('float, median', float.p50, 'float'),
        bar('quantized, median', small.p50, 'small'),
        bar('float, 90th percentile', float.p90, 'float'),
        bar('quantized, 90th percentile', small.p90, 'small'),
      ]),
    )
  }
  return parts.map((part) => (part.startsWith('<svg') ? `<div class="scroll">${part}</div>` : part)).join('\n')
}

const OUTCOMES = {
  holds: 'holds',
  loses: 'loses too much',
  slow: 'too slow',
  large: 'no smaller',
  impossible: 'not possible',
  skipped: 'not tried',
  ground: 'a float model, what follows begins with it',
} as const

export function tried({ tries, recipe, judged }: QuantizationReport): string {
  if (tries === undefined || tries.length === 0) return ''
  const rows = tries.map((entry) => {
    const name = `<code class="id">${escaped(entry.recipe)}</code>`
    const { bytes, loss, latency, slowdown } = entry
    return [
      entry.recipe === recipe ? `<b>${name}</b>` : name,
      `${escaped(entry.what)}<br><small>${OUTCOMES[entry.outcome]}: ${escaped(entry.reason)}</small>`,
      bytes === undefined ? '–' : bytesText(bytes),
      loss === undefined ? '–' : pointsText(-loss),
      latency === undefined || slowdown === undefined
        ? '–'
        : `${millisecondsText(latency.p50)} (${slowdown.toFixed(2)}×)`,
      `${entry.seconds.toFixed(1)} s`,
    ]
  })
  const limit = judged?.maxLoss === undefined ? '' : ` The limit was a loss of ${100 * judged.maxLoss} points.`
  return [
    head('What was tried', `In this order, until one held.${limit} In brackets: times the float model's latency.`),
    tableOf(['recipe', 'what it is', 'size', 'change in points', 'one run', 'took'], rows, [2, 3, 4, 5]),
  ].join('\n')
}

export function pruned({ pruned: found }: QuantizationReport): string {
  if (found === undefined) return ''
  const { from, to } = found.parameters
  return [
    head(
      'Channels removed',
      `${to.toLocaleString('en')} of ${from.toLocaleString('en')} stored numbers are left. Layers that share their channels are one.`,
    ),
    bars(
      'channels left of each layer',
      found.layers.flatMap(({ nodes, from: before, to: after }) => [
        { name: nodes.join(', '), value: before, text: `${before} before`, look: 'float' as const },
        { name: '', value: after, text: `${after} left`, look: 'small' as const },
      ]),
    ),
    ...(found.kept.length === 0
      ? []
      : [
          tableOf(
            ['keeps its channels', 'reason'],
            found.kept
              .slice(0, MAX_LAYERS)
              .map(({ node, reason }) => [`<code>${escaped(node)}</code>`, escaped(reason)]),
          ),
        ]),
  ].join('\n')
}

export function perClass({ classes, judged }: QuantizationReport): string {
  if (classes === undefined || judged === undefined) return ''
  const share = (right: number, rows: number) => right / rows
  const change = ({ float, small, rows }: (typeof classes)[number]) => Math.abs(small.right - float.right) / rows
  const most = new Set(classes.toSorted((a, b) => change(b) - change(a)).slice(0, MAX_CLASSES))
  const shown = classes.filter((entry) => most.has(entry))
  const list = shown.map(({ name, rows, float, small }) => ({
    name,
    float: { ...float, share: share(float.right, rows) },
    small: { ...small, share: share(small.right, rows) },
    text: `${name}: ${rows} rows, ${float.right} right before, ${small.right} after`,
  }))
  const left = classes.length - shown.length
  const rest = left > 0 ? ` The ${left} other classes changed no more than these.` : ''
  const what = judged.measure === 'agreement' ? 'agreement' : 'accuracy'
  return [
    head(
      `${what === 'accuracy' ? 'Accuracy' : 'Agreement'} per class`,
      `Share of ${judged.rows} held-out rows with 95% intervals (Wilson).${rest}`,
    ),
    KEY,
    `<div class="scroll">${pairs(`${what} per class`, list)}</div>`,
  ].join('\n')
}

export function confusion({ confusion: found, classes }: QuantizationReport): string {
  if (found === undefined || classes === undefined) return ''
  const changed = found.filter(({ float, small }) => float !== small)
  if (changed.length === 0) return head('Confusions', 'Not one held-out row is counted in another place than before.')
  const called = Math.max(...found.map((pair) => Math.max(pair.called, pair.wanted))) + 1
  const names = new Map(classes.map(({ index, name }) => [index, name]))
  const nameOf = (at: number) => (at < 0 ? 'not a number' : (names.get(at) ?? String(at)))
  const sentence = (pair: (typeof found)[number]) =>
    `${nameOf(pair.wanted)} called ${nameOf(pair.called)}: ${pair.float} before, ${pair.small} after`
  const text =
    'Rows that the quantized model puts elsewhere than the float model: on the diagonal more is better, off it worse.'
  const isMatrix = called <= MAX_MATRIX && found.every((pair) => pair.called >= 0)
  const cells = found.map((pair) => ({
    row: pair.wanted,
    column: pair.called,
    change: pair.small - pair.float,
    text: sentence(pair),
  }))
  const wrong = changed.filter(({ wanted, called: as }) => wanted !== as).slice(0, MAX_PAIRS)
  return [
    head('Confusions', text),
    '<div class="key"><span><i class="good"></i>better</span><span><i class="bad"></i>worse</span></div>',
    isMatrix
      ? `<div class="scroll">${changes(
          'changes of confusions',
          Array.from({ length: called }, (_, at) => nameOf(at)),
          cells,
        )}</div>`
      : tableOf(
          ['is', 'called', 'before', 'after'],
          wrong.map((pair) => [
            escaped(nameOf(pair.wanted)),
            escaped(nameOf(pair.called)),
            String(pair.float),
            String(pair.small),
          ]),
          [2, 3],
        ),
  ].join('\n')
}

export function layers({ layers: all, kept }: QuantizationReport): string {
  const told = all.filter(({ outputSnrDb }) => outputSnrDb !== null)
  const byError = told.toSorted((a, b) => a.outputSnrDb! - b.outputSnrDb!)
  const parts: string[] = []
  if (told.length > 0) {
    const hurt = new Set(told.length > 3 ? byError.slice(0, 3) : byError.slice(0, 1))
    const most = new Set(byError.slice(0, MAX_LAYERS))
    const shown = told.filter((layer) => most.has(layer))
    const left = told.length - shown.length
    parts.push(
      head(
        'Error of each layer',
        'Signal to noise of its result against the float model, everything before it quantized too, in decibels: 20 dB is ' +
          `an error of a tenth, 40 dB of a hundredth. In the model's order${left > 0 ? `; ${left} layers with less error are left out` : ''}. ` +
          'The layers with most error are marked.',
      ),
      '<div class="key"><span><i class="small"></i>quantized</span><span><i class="bad"></i>most error</span></div>',
      `<div class="scroll">${bars(
        'signal to noise of each layer',
        shown.map((layer) => ({
          name: layer.node,
          value: layer.outputSnrDb!,
          text: `${layer.outputSnrDb!.toFixed(1)} dB`,
          look: hurt.has(layer) ? 'bad' : 'small',
        })),
      )}</div>`,
      tableOf(
        ['layers that hurt most', 'operator', 'weights', 'result', 'weights alone'],
        byError
          .slice(0, 5)
          .map(({ node, operator, weights, outputSnrDb, weightSnrDb }) => [
            `<code>${escaped(node)}</code>`,
            escaped(operator),
            String(weights),
            `${outputSnrDb!.toFixed(1)} dB`,
            weightSnrDb === null ? '–' : `${weightSnrDb.toFixed(1)} dB`,
          ]),
        [2, 3, 4],
      ),
    )
  }
  parts.push(head('Left in float', kept.length === 0 ? 'Nothing.' : 'Nodes that stay as they were, and why.'))
  if (kept.length > 0)
    parts.push(
      tableOf(
        ['node', 'reason'],
        kept.slice(0, 200).map(({ node, reason }) => [`<code>${escaped(node)}</code>`, escaped(reason)]),
      ),
    )
  if (kept.length > 200) parts.push(`<p class="soft">And ${kept.length - 200} more, in the JSON report.</p>`)
  return parts.join('\n')
}
