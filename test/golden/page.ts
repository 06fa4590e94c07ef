import { version_core as tfjsVersion } from '@tensorflow/tfjs-core'
import { env } from 'onnxruntime-node'
import { TOLERANCES } from './compare.js'
import { engines, reference } from './engines/index.js'
import { arithmeticOf, GOLDEN } from './models.js'
import type { EngineOutcome, Outcome } from './run.js'

type ModelName = keyof typeof GOLDEN
const MODELS = Object.keys(GOLDEN) as ModelName[]

/** Differences below are not told apart: they move from machine to machine. */
const FLOOR = 1e-6

/** `docs/engines.md`. */
export function enginesPage(outcomes: readonly EngineOutcome[]): string {
  const notes: string[] = []
  const note = (text: string): string => {
    if (!notes.includes(text)) notes.push(text)
    return `[${notes.indexOf(text) + 1}]`
  }
  const cells = MODELS.map((name) =>
    row([
      name,
      ...outcomes.map(({ models, missing }) => (missing === undefined ? cell(models.get(name), note) : 'not here')),
    ]),
  )
  return `# Engines: how far their answers lie apart

Made by \`npm run golden\`, which runs every model of the golden set on every engine that is here, with the same inputs, and
ends with an error where one is out of its tolerance; \`npm test\` does so with some of the models.

${listOf()}

## Largest differences

Over all values of a run of 4 rows, relative to the largest value of the output, then absolute; rounded up to a power of ten,
and not told apart below 1e-6. \`${reference.name}\` is what the others are held against.

${row(['model', ...outcomes.map(({ engine }) => engine.name)])}
${row(['---', ...outcomes.map(() => '---')])}
${cells.join('\n')}

${notes.map((text, at) => `[${at + 1}] ${text}`).join('\n\n')}${notes.length > 0 ? '\n\n' : ''}${here(outcomes)}
`
}

/** The part of the page that the code alone decides: a test compares it. */
export function listOf(): string {
  const why = Object.entries(TOLERANCES).map(([name, { cpu, gpu, why: reason }]) =>
    row([name, tolerance(cpu), tolerance(gpu), reason]),
  )
  return `${row(['engine', 'what it is', 'tolerances of'])}
${row(['---', '---', '---'])}
${[reference, ...engines].map(({ name, what, on }) => row([name, what, on === 'cpu' ? 'a processor' : 'a GPU'])).join('\n')}

${row(['model', 'what it is', 'arithmetic'])}
${row(['---', '---', '---'])}
${MODELS.map((name) => row([name, GOLDEN[name].what, arithmeticOf(name)])).join('\n')}

## Tolerances

Relative to the largest value of the output.

${row(['arithmetic', 'a processor', 'a GPU', 'why'])}
${row(['---', '---', '---', '---'])}
${why.join('\n')}`
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const tolerance = (value: number): string =>
  value >= 1e-3 ? String(Number(value.toPrecision(2))) : value.toExponential(0)

function cell(outcome: Outcome | undefined, note: (text: string) => string): string {
  if (outcome === undefined) return 'not run'
  if ('refused' in outcome) return `refused ${note(brief(outcome.refused))}`
  const { relative, absolute, provider, within } = outcome
  const apart = relative === 0 ? 'equal' : `${rounded(relative)}, ${rounded(absolute)}`
  const where = provider.includes('+')
    ? ` ${note(`Not as a whole: \`${provider}\` runs on the processor what WebGPU has no kernel for.`)}`
    : ''
  return `${within ? apart : `**${apart}: out of tolerance**`}${where}`
}

/** Up to the next power of ten. */
const rounded = (value: number): string => (10 ** Math.ceil(Math.log10(Math.max(FLOOR, value)) - 1e-9)).toExponential(0)

/** The first sentence that says something, without what differs from run to run. */
function brief(reason: string): string {
  const known = /requires f16 but the device does not support it/.test(reason)
  return known
    ? 'The device (here a driver that computes on the processor) has no float16.'
    : reason.length > 200
      ? `${reason.slice(0, 200)}…`
      : reason
}

function here(outcomes: readonly EngineOutcome[]): string {
  const missing = outcomes.flatMap(({ engine, missing: why }) => (why === undefined ? [] : [`${engine.name}: ${why}.`]))
  const gpu = process.env['VK_DRIVER_FILES']?.includes('swiftshader')
    ? '; WebGPU on SwiftShader, which computes on the processor'
    : ''
  return [
    `Here: ${process.platform} ${process.arch}, ONNX Runtime ${env.versions.common}, TensorFlow.js ${tfjsVersion}${gpu}.`,
    ...missing,
  ].join(' ')
}
