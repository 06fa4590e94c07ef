import type { QuantizationReport } from '../report.js'
import { confusion, layers, MEASURES, perClass, pruned, sizeAndTime, tiles, tried } from './sections.js'
import { STYLE } from './style.js'
import { escaped, percentText } from './text.js'

/** Nothing but the page's own style: whatever a model's names hold, no script runs and nothing is fetched. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'"

/**
 * A report as one HTML page that needs nothing from elsewhere, in the reader's light or dark colours.
 *
 * @example
 * await writeFile('report.html', reportPage(report))
 */
export function reportPage(report: QuantizationReport): string {
  const { model, recipe, precision, notes, files, requires } = report
  const title = `${model}: ${recipe}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(model)} <span class="soft">as ${escaped(recipe)}</span></h1>
<p class="soft">${escaped(verdict(report))}</p>
${tiles(report)}
${notes.length === 0 ? '' : `<div class="notes">${notes.map((note) => `<p>${escaped(note)}.</p>`).join('\n')}</div>`}
${tried(report)}
${pruned(report)}
${sizeAndTime(report)}
${perClass(report)}
${confusion(report)}
${layers(report)}
<h2>Files</h2>
<p class="soft">float <code>${files.float.sha256}</code><br>
${escaped(precision)} <code>${files.small.sha256}</code>${
    requires.length === 0 ? '' : `<br>A device's engine must have: ${escaped(requires.join(', '))}`
  }</p>
</main>
</body>
</html>
`
}

function verdict({ judged }: QuantizationReport): string {
  if (judged === undefined) return 'Without rows to judge by: only the size is known.'
  const { measure, rows, float, small, calibrationRows, maxLoss, loss } = judged
  const limit =
    maxLoss === undefined
      ? ''
      : `, ${loss <= maxLoss + 1e-9 ? 'within' : 'beyond'} the limit of ${100 * maxLoss} points`
  const calibrated = calibrationRows === undefined ? '' : `; ${calibrationRows} others calibrated it`
  const name = MEASURES[measure]
  return `On ${rows} held-out rows its ${name} is ${percentText(small)}, the float model's ${percentText(float)}${limit}${calibrated}.`
}
