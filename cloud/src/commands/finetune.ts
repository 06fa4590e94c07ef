import { basename, extname } from 'node:path'
import {
  type BaseModel,
  type FineTune,
  type JobSpec,
  type OptimizerConfig,
  type PipelineConfig,
  SCHEMES,
  type Scheme,
} from '@tideway/core'
import { importModel } from '@tideway/onnx'
import { type FineTuneOptions, importTrainable } from '@tideway/training'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { modelBytes } from '../config/model-file.js'
import { cloudErrors } from '../errors.js'
import type { ImageShape } from '../finetune/rows.js'
import { print } from '../view/print.js'
import { PROGRESS_FORMS, type ProgressForm } from '../view/progress.js'
import { type ClientOptions, connect, withClient } from './context.js'
import { CURVES_HELP, keepCurves, keepReport, parseWhole, REPORT_HELP, resultTable, trainPipeline } from './train.js'

const PRECISIONS: readonly JobSpec['precision'][] = ['int8', 'int4', 'fp16', 'fp32']
const OPTIMIZERS: readonly OptimizerConfig['type'][] = ['adam', 'adamw', 'sgd', 'rmsprop', 'lion']

export interface FineTuneCommand extends ClientOptions {
  readonly data: string
  readonly head?: FineTune['head']
  readonly freeze?: readonly string[]
  readonly cut?: string
  readonly name?: string
  readonly epochs?: number
  readonly learningRate: number
  readonly optimizer: OptimizerConfig['type']
  readonly batchSize?: number
  readonly seed?: number
  readonly image?: ImageShape
  readonly target?: readonly string[]
  readonly scale?: number
  readonly precision: JobSpec['precision']
  readonly recipe?: Scheme
  readonly tfjs?: boolean
  readonly progress?: ProgressForm
  readonly curves?: string
  readonly report?: readonly string[]
}

export function addFinetune(command: Command): void {
  withClient(command)
    .requiredOption('--data <path>', 'a folder of class folders of images, .csv, .parquet or .npz')
    .option('--head <classes=N|outputs=N>', 'a new last layer: N classes, or N numbers', parseHead)
    .option('--freeze <pattern...>', 'weights or nodes that stay as they are (* any text, ? one character)')
    .option('--cut <node>', 'drop everything behind this node')
    .option('--name <id>', "the model's id (default: the file's name)")
    .option('--epochs <n>', 'epochs to train (default: 10)', parseWhole)
    .option('--learning-rate <x>', 'of the optimizer', parsePositive, 0.001)
    .addOption(new Option('--optimizer <name>', 'what makes the steps').choices(OPTIMIZERS).default('adam'))
    .option('--batch-size <n>', 'rows a step (default: 64)', parseWhole)
    .option('--seed <n>', 'seed of the head, the split and shuffling', parseWhole)
    .option('--image <HxWxC>', 'size of images, where the model leaves it open', parseImage)
    .option('--target <column...>', 'column to predict, of a table')
    .option('--scale <x>', 'what inputs are multiplied with (default: 1/255 for bytes, else 1)', parsePositive)
    .addOption(new Option('--precision <form>', 'what devices run').choices(PRECISIONS).default('int8'))
    .option('--curves <file>', CURVES_HELP)
    .option('--report <file...>', REPORT_HELP)
    .addOption(new Option('--recipe <scheme>', 'how it gets there, in place of --precision').choices(SCHEMES))
    .option('--tfjs', 'a variant for devices with TensorFlow.js, too')
    .addOption(new Option('--progress <form>', 'how progress is shown on standard error').choices(PROGRESS_FORMS))
    .addHelpText(
      'after',
      `
What is assumed: images become float32 from 0 to 1 (--scale 1: 0 to 255), in the model's own layout, [channels, height,
width] or [height, width, channels], red first. Of a table every column but the target is a numeric feature, in the
file's order. An .npz holds the arrays inputs and targets, or x and y. Whole numbers are classes from 0 up; other classes
are numbered in the order of their names.

Examples:
  $ tideway finetune mobilenet.onnx --head classes=5 --freeze 'backbone.*' --data photos
  $ tideway finetune pump.onnx --head outputs=1 --data pumps.csv --target pressure
  $ tideway finetune digits.onnx --data digits.npz --learning-rate 0.0001`,
    )
    .action(async (file: string, options: FineTuneCommand) => {
      const client = await connect(options)
      const { pipeline, notes } = await pipelineOf(file, options)
      for (const note of notes) process.stderr.write(`${note}\n`)
      const { epochs, seed, progress, curves, report } = options
      const job = await trainPipeline(client, pipeline, { epochs, seed, progress })
      await keepCurves(client, job.result, curves)
      await keepReport(client, job.result, report)
      print(options.json, { job: job.id, model: job.model, ...job.result }, () => resultTable(job))
    })
}

/** The pipeline of a command, its data loaded and its model looked at: what cannot be trained is refused here. */
export async function pipelineOf(
  file: string,
  options: FineTuneCommand,
): Promise<{ pipeline: PipelineConfig; notes: readonly string[] }> {
  const bytes = await modelBytes(file)
  const model = importModel(bytes)
  const [input] = model.inputs
  const row = input?.shape.slice(1) ?? []
  const { head, freeze, cut, image, target, scale } = options
  // Loaders bring the decoder of images with them, which no other command needs.
  const { loadRows } = await import('../finetune/data.js')
  const changes = { ...(head && { head }), ...(freeze && { freeze }), ...(cut && { cutAt: cut }) }
  const isOpen = row.includes(null)
  // With open sizes the data says what they are; whether it has classes is then for the head to say.
  const known = isOpen ? undefined : importTrainable(model, changes as FineTuneOptions)
  const classes =
    head?.classes !== undefined || (head === undefined && (known === undefined || known.lastActivation === 'softmax'))
  const dataset = await loadRows({ path: options.data, row, image, target, scale, classes })
  const whole = isOpen ? { ...changes, inputShape: dataset.inputs.shape.slice(1) } : changes
  const network = known ?? importTrainable(model, whole as FineTuneOptions)
  const units = network.output.shape[0] ?? 0
  const { classes: names, targets } = dataset
  const issues: string[] = []
  if (names !== undefined && names.length !== units)
    issues.push(
      `${options.data}: ${names.length} classes (${names.slice(0, 10).join(', ')}), but the model gives ${units}`,
    )
  const beyond = classes ? (targets.data as Int32Array).findIndex((label) => label < 0 || label >= units) : -1
  if (names === undefined && beyond >= 0)
    issues.push(`${options.data}: row ${beyond + 1} has a class that is not 0 to ${units - 1}`)
  if (!classes && targets.shape.slice(1).join() !== network.output.shape.join())
    issues.push(
      `${options.data}: ${targets.shape[1] ?? 1} values to predict, but the model gives [${network.output.shape.join(', ')}]`,
    )
  if (issues.length > 0) throw cloudErrors.DATA_INVALID({ issues })
  const base: BaseModel = { model: bytes, ...whole }
  const { epochs, batchSize, seed, precision, recipe, tfjs, optimizer: type, learningRate } = options
  return {
    notes: network.notes,
    pipeline: {
      model: options.name ?? basename(file, extname(file)).toLowerCase(),
      data: () => dataset,
      base,
      loss: classes
        ? 'softmaxCrossEntropy'
        : network.lastActivation === 'sigmoid'
          ? 'sigmoidCrossEntropy'
          : 'meanSquaredError',
      optimizer: { type, learningRate },
      ...(recipe ? { recipe } : { precision }),
      ...(tfjs && { formats: ['onnx', 'tfjs'] }),
      ...(epochs !== undefined && { epochs }),
      ...(batchSize !== undefined && { batchSize }),
      ...(seed !== undefined && { seed }),
    },
  }
}

function parseHead(text: string): FineTune['head'] {
  const [, kind, size] = /^(classes|outputs)=([1-9]\d{0,8})$/.exec(text) ?? []
  if (kind === undefined) throw new InvalidArgumentError('classes=N or outputs=N')
  return { [kind]: Number(size) }
}

export function parseImage(text: string): ImageShape {
  const [, height, width, channels] = /^([1-9]\d{0,4})x([1-9]\d{0,4})x([13])$/.exec(text) ?? []
  if (channels === undefined) throw new InvalidArgumentError('HEIGHTxWIDTHxCHANNELS, with 1 or 3 channels')
  return [Number(height), Number(width), Number(channels)]
}

export function parsePositive(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('a number above 0')
  return value
}
