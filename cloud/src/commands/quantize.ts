import { basename, dirname, extname, join, resolve } from 'node:path'
import { SCHEMES } from '@tideway/core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { cloudErrors } from '../errors.js'
import type { ImageShape } from '../finetune/rows.js'
import type { Aim } from '../quantize/ladder.js'
import type { RecipeName } from '../quantize/order.js'
import { MEASURES } from '../quantize/page/sections.js'
import { bytesText, millisecondsText, percentText, pointsText, shortened, visible } from '../quantize/page/text.js'
import type { QuantizationReport } from '../quantize/report.js'
import type { Try } from '../quantize/search.js'
import type { Importance } from '../quantize/slim.js'
import { table } from '../view/output.js'
import { print } from '../view/print.js'
import { steps } from '../view/steps.js'
import { parseImage, parsePositive } from './finetune.js'
import { parseWhole } from './train.js'

interface QuantizeCommand {
  readonly recipe: RecipeName
  readonly calibrate?: string
  readonly data?: string
  readonly for: Aim
  readonly maxLoss?: number
  readonly maxSlowdown?: number
  readonly output?: string
  readonly report?: readonly string[]
  readonly image?: ImageShape
  readonly target?: readonly string[]
  readonly scale?: number
  readonly labels: boolean
  readonly prune?: number
  readonly importance?: Importance
  readonly train?: string
  readonly epochs?: number
  readonly learningRate?: number
  readonly calibrationRows: number
  readonly heldOutRows: number
  readonly seed: number
  readonly json?: boolean
}

const RECIPES: readonly RecipeName[] = ['auto', ...SCHEMES, 'int8-aware']
const IMPORTANCES: readonly Importance[] = ['norm', 'taylor']
const AIMS: readonly Aim[] = ['speed', 'size']

export function addQuantize(command: Command): void {
  command
    .addOption(
      new Option('--recipe <name>', 'how; auto tries recipes until one holds').choices(RECIPES).default('auto'),
    )
    .option('--calibrate <path>', 'rows to calibrate with: a folder of class folders of images, .csv, .parquet or .npz')
    .option('--data <path>', 'rows to judge by (default: half of those of --calibrate, held out)')
    .option('--max-loss <share>', 'what may be lost of the score, 0.005 is half a point (auto: 0.005)', parseLoss)
    .option('--max-slowdown <x>', "times the float model's latency (auto for speed: 1.1)", parsePositive)
    .addOption(new Option('--for <aim>', 'what auto tries first').choices(AIMS).default('speed'))
    .option('--output <file>', "the new file (default: the model's name with the precision, beside it)")
    .option('--report <file...>', 'write what it cost as .html, .json or both')
    .option('--prune <share>', 'first remove so many of the channels, 0.3 is 30%', parseShare)
    .addOption(new Option('--importance <kind>', 'which channels go (default: norm)').choices(IMPORTANCES))
    .option(
      '--train <path>',
      'rows to train on: what pruning left, and with the rounding of int8 where others lose too much',
    )
    .option('--epochs <n>', 'of each training (default: 10)', parseRows)
    .option('--learning-rate <x>', 'of each training, its highest (default: 0.001)', parsePositive)
    .option('--target <column...>', 'column with the labels, of a table')
    .option('--no-labels', "judge by the float model's answers, whatever labels there are")
    .option('--image <HxWxC>', 'size of images, where the model leaves it open', parseImage)
    .option('--scale <x>', 'what inputs are multiplied with (default: 1/255 for bytes, else 1)', parsePositive)
    .option('--calibration-rows <n>', 'at most so many calibrate', parseRows, 512)
    .option('--held-out-rows <n>', 'at most so many judge', parseRows, 5_000)
    .option('--seed <n>', 'which rows do what', parseWhole, 1)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
The score is the accuracy where rows have classes, the share of variance explained where they have values, and agreement
with the float model where they have no labels (a table without --target, an .npz without targets or y). Data are read
as by \`tideway finetune\`; the classes of folders are numbered in the order of their names, or are their numbers. A model
of several inputs takes an .npz with an array by each input's name.

Rows of --train should be none of those that judge. What is trained learns from the labels and from the float model's own
answers. --prune removes whole channels by the mean size of their weights (norm) or by what the loss would lose without
them (taylor); every recipe then begins with what is left, and is judged against the whole model.

Without rows, recipes of weights alone work: int8-weights, int4-weights, fp16, fp16-weights, int8-dynamic.

Exit codes: 0 written; 1 refused, or no recipe holds (nothing is written then); 70 a defect.

Examples:
  $ tideway quantize model.onnx --calibrate photos --max-loss 0.005 --report cost.html
  $ tideway quantize pump.onnx --calibrate pumps.csv --target pressure --data newer.csv
  $ tideway quantize model.onnx --calibrate photos --train more-photos --prune 0.3 --max-loss 0.01
  $ tideway quantize large.onnx --recipe int4-weights`,
    )
    .action(async (file: string, options: QuantizeCommand) => {
      const { output, report: reports = [], json } = options
      checkPaths(file, output, reports)
      // What computes comes with this command alone.
      const { quantizeFile } = await import('../quantize/order.js')
      const { reportPage } = await import('../quantize/page/page.js')
      const { writeWhole } = await import('../quantize/write.js')
      const { made, report } = await quantizeFile({ ...options, aim: options.for, file, during })
      const to = output ?? defaultOutput(file, made.precision)
      checkPaths(file, to, reports)
      // The model last: where it is, its reports are.
      for (const path of reports)
        await writeWhole(
          path,
          extname(path).toLowerCase() === '.html' ? reportPage(report) : `${JSON.stringify(report, null, 2)}\n`,
        )
      await writeWhole(to, made.onnx)
      print(json, { output: to, reports, ...report }, () => summary(report, to))
    })
}

const samePath = (a: string, b: string): boolean => resolve(a) === resolve(b)

function defaultOutput(file: string, precision: string): string {
  return join(dirname(file), `${basename(file, extname(file))}.${precision}.onnx`)
}

function checkPaths(file: string, output: string | undefined, reports: readonly string[]): void {
  const issues = reports
    .filter((path) => !/\.(html|json)$/i.test(path))
    .map((path) => `--report ${path}: neither .html nor .json`)
  if (output !== undefined && samePath(output, file)) issues.push(`--output ${output}: it is the float model itself`)
  const others = [file, ...(output === undefined ? [] : [output])]
  issues.push(
    ...reports
      .filter((path) => others.some((other) => samePath(path, other)))
      .map((path) => `--report ${path}: it is the model's file`),
  )
  if (issues.length > 0) throw cloudErrors.QUANTIZE_ORDER_INVALID({ issues })
}

/** Shows on standard error what is being tried, and how it went. */
async function during(line: string, work: () => Promise<Try>): Promise<Try> {
  const entry = await steps.during(line, work)
  steps.say(`  ${entry.outcome}: ${visible(entry.reason)}`)
  return entry
}

function summary(report: QuantizationReport, output: string): string {
  const { files, judged, tries = [], recipe, kept, pruned, notes } = report
  const rows = tries.map((entry) => [
    entry.recipe,
    entry.outcome,
    entry.bytes === undefined ? '-' : bytesText(entry.bytes),
    entry.loss === undefined ? '-' : pointsText(-entry.loss),
    entry.latency === undefined || entry.slowdown === undefined
      ? '-'
      : `${millisecondsText(entry.latency.p50)} (${entry.slowdown.toFixed(2)}x)`,
    `${entry.seconds.toFixed(1)} s`,
  ])
  const won = tries.find((entry) => entry.recipe === recipe)
  const score =
    judged === undefined
      ? []
      : [
          `${MEASURES[judged.measure]} on ${judged.rows} rows: ${percentText(judged.float)} before, ${percentText(judged.small)} after`,
        ]
  return [
    ...(rows.length === 0 ? [] : [table(['recipe', 'outcome', 'size', 'change in points', 'one run', 'took'], rows)]),
    `${recipe}: ${bytesText(files.float.bytes)} became ${bytesText(files.small.bytes)} (${(files.float.bytes / files.small.bytes).toFixed(2)} times smaller)`,
    ...score,
    ...(won?.outcome !== 'holds'
      ? []
      : [`${tries.length > 1 ? 'the first that holds' : 'it holds'}: it ${won.reason}`]),
    ...(pruned === undefined
      ? []
      : [`pruned: ${pruned.parameters.to} of ${pruned.parameters.from} stored numbers are left`]),
    ...kept.slice(0, MAX_KEPT).map(({ node, reason }) => `left in float: ${shortened(node)}, ${visible(reason)}`),
    ...(kept.length > MAX_KEPT ? [`left in float: ${kept.length - MAX_KEPT} more nodes, which --report names`] : []),
    ...notes.map(visible),
    `written: ${output}`,
  ].join('\n')
}

/** Nodes that the summary names; more would hide the rest. */
const MAX_KEPT = 5

function parseLoss(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('a share, 0 to 1: 0.005 is half a percentage point')
  return value
}

function parseShare(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError('a share between 0 and 1: 0.3 is 30%')
  return value
}

function parseRows(text: string): number {
  const value = parseWhole(text)
  if (value < 1) throw new InvalidArgumentError('a whole number, 1 or more')
  return value
}
