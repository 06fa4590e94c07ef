import { readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type Columns, type ColumnsConfig, resolveColumns } from '@tideway/core'
import { type Command, Option } from 'commander'
import { noFile } from '../config/named-file.js'
import { cloudErrors } from '../errors.js'
import type { Engine } from '../predict/engine.js'
import type { PredictResult } from '../predict/run.js'
import { print } from '../view/print.js'
import { PROGRESS_FORMS, type ProgressForm } from '../view/progress.js'
import { createRowsView } from '../view/rows-progress.js'
import { connect } from './context.js'
import { parseNames } from './providers.js'
import { parseWhole } from './train.js'

interface PredictCommand {
  readonly input: string
  readonly output: string
  readonly columns?: readonly string[]
  readonly keep?: readonly string[]
  readonly schema?: string
  readonly classes?: readonly string[]
  readonly delimiter?: string
  readonly onError: 'fail' | 'skip'
  readonly restart?: boolean
  readonly batchRows: number
  readonly threads: number
  readonly progress?: ProgressForm
  readonly dir: string
  readonly cloud?: string
  readonly json?: boolean
}

export function addPredict(command: Command): void {
  command
    .requiredOption('--input <file>', 'rows: .csv with a header, or .parquet')
    .requiredOption('--output <file>', 'answers: .csv, .jsonl or .parquet')
    .option('--columns <names>', 'columns that go into the one input, in this order, with commas between', parseNames)
    .option('--keep <names>', 'columns to stand beside the answers, all or none (default: those not used)', parseNames)
    .option('--schema <file>', 'column schema as JSON: categories and times as the model takes them')
    .option('--classes <names>', 'names of the classes by index (default: those of the version)', parseNames)
    .option('--delimiter <character>', 'between the fields of a CSV (default: a comma)')
    .addOption(new Option('--on-error <what>', 'about rows that are bad').choices(['fail', 'skip']).default('fail'))
    .option('--restart', 'begin anew, and replace an output that is there')
    .option('--batch-rows <n>', 'rows that go to the model together', parseRows, 256)
    .option('--threads <n>', 'of the model on this machine', parseRows, availableParallelism())
    .addOption(
      new Option(
        '--progress <form>',
        'how progress is shown on standard error (default: bar on a terminal, else lines)',
      ).choices(PROGRESS_FORMS),
    )
    .option('--dir <dir>', 'directory of a cloud process on this machine', '.tideway')
    .option('--cloud <url>', 'URL of the cloud (default: the one that runs in --dir)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
A name that ends with .onnx is a file, run on this machine without a cloud. Another is a model in a cloud, and its version
(latest without one) is looked up once, at the beginning.

After a kill the same command goes on where it stopped, and gives the same bytes; with another input, model or option it is
refused. The output has its name only when it is whole. Rows that --on-error skip leaves out stand in
<output>.skipped.jsonl, with the reason.

Each line of \`--progress json\` is {rows, rowCount, skipped, bytesRead, bytes, rowsPerSecond, secondsLeft}.

Exit codes: 0 written; 1 refused or failed, what is done is kept; 70 a defect.

Examples:
  $ tideway predict pump.onnx --input pumps.csv --output answers.parquet --keep id
  $ tideway predict digits:3 --cloud http://127.0.0.1:4400 --input digits.parquet --output digits.csv
  $ tideway predict pump.onnx --input pumps.csv --columns pressure,flow --output a.jsonl --on-error skip`,
    )
    .action(async (model: string, options: PredictCommand) => {
      const schema = options.schema === undefined ? undefined : await readSchema(options.schema)
      const isFile = /\.onnx$/i.test(model)
      if (isFile && options.cloud !== undefined)
        throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`--cloud: ${model} is a file on this machine`] })
      await checkInput(options.input)
      const engine = isFile ? await local(model, options) : await remote(model, options)
      // What computes comes with this command alone.
      const { predictFile } = await import('../predict/run.js')
      const view = createRowsView(options.progress)
      try {
        const result = await predictFile({
          ...options,
          keep: keepOf(options.keep),
          engine,
          schema,
          restart: options.restart ?? false,
          settings: isFile ? { threads: options.threads } : {},
          onProgress: (progress) => view.show(progress),
        })
        view.end()
        print(options.json, { model, ...result }, () => summary(result))
      } finally {
        view.end()
        await engine.dispose()
      }
    })
}

async function local(model: string, { threads, batchRows }: PredictCommand): Promise<Engine> {
  const { localEngine } = await import('../predict/engine.js')
  return localEngine(model, { threads, batchRows })
}

async function remote(model: string, options: PredictCommand): Promise<Engine> {
  const [name = '', version = 'latest', ...rest] = model.split(':')
  if (name === '' || rest.length > 0)
    throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`${model}: neither a file .onnx nor MODEL or MODEL:VERSION`] })
  const { remoteEngine } = await import('../predict/remote.js')
  return remoteEngine(await connect(options), name, version)
}

async function readSchema(file: string): Promise<Columns> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw cloudErrors.FILE_NOT_LOADED({ file, reason: 'it cannot be read' }, cause)
  })
  try {
    return resolveColumns(JSON.parse(text) as ColumnsConfig)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw cloudErrors.FILE_NOT_LOADED({ file, reason: 'it is not JSON' }, cause)
  }
}

async function checkInput(input: string): Promise<void> {
  const isThere = await stat(input)
    .then((found) => found.isFile())
    .catch(() => false)
  if (!isThere) throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`--input ${input}: ${noFile(input)}`] })
  if (!/\.(csv|parquet)$/i.test(input))
    throw cloudErrors.PREDICT_ORDER_INVALID({ issues: [`--input ${input}: neither .csv nor .parquet`] })
}

function keepOf(names: readonly string[] | undefined): readonly string[] | 'all' | 'none' | undefined {
  if (names?.length === 1 && (names[0] === 'all' || names[0] === 'none')) return names[0]
  return names
}

function summary({ output, rows, skipped, skippedFile, resumedFrom }: PredictResult): string {
  return [
    ...(resumedFrom > 0 ? [`went on after row ${resumedFrom}`] : []),
    `${rows - skipped} of ${rows} rows answered`,
    ...(skippedFile === undefined ? [] : [`left out, with the reason: ${skippedFile}`]),
    `written: ${output}`,
  ].join('\n')
}

function parseRows(text: string): number {
  return Math.max(1, parseWhole(text))
}
