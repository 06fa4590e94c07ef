import type { Command } from 'commander'
import type { ImageShape } from '../finetune/rows.js'
import { bytesText, visible } from '../quantize/page/text.js'
import type { Registration } from '../register/register.js'
import { short, table } from '../view/output.js'
import { print } from '../view/print.js'
import { steps } from '../view/steps.js'
import { type ClientOptions, connect, withClient } from './context.js'
import { parseImage, parsePositive } from './finetune.js'

interface RegisterCommand extends ClientOptions {
  readonly data?: string
  readonly target?: readonly string[]
  readonly image?: ImageShape
  readonly scale?: number
  readonly classes?: readonly string[]
  readonly alias: readonly string[]
}

export function addRegister(command: Command): void {
  withClient(command)
    .option('--data <path>', 'rows that it is tried with: a folder of class folders of images, .csv, .parquet or .npz')
    .option('--target <column...>', 'column with the labels, of a table')
    .option('--image <HxWxC>', 'size of images, where the model leaves it open', parseImage)
    .option('--scale <x>', 'what inputs are multiplied with (default: 1/255 for bytes, else 1)', parsePositive)
    .option('--classes <name...>', 'names of the classes, by index (default: those of --data)')
    .option('--alias <name...>', 'what is to point at the version', ['latest'])
    .addHelpText(
      'after',
      `
The files are forms of one model, float and quantized: a device takes the smallest that it can run. Each gets known answers,
which a device checks before it serves: of rows of --data, else of made-up ones. With --data there are scores, too, and a baseline
that drift is held against. Whoever asks for latest is answered by the new version; --alias candidate lets it wait.

Examples:
  $ tideway register digits.onnx
  $ tideway register digits=net-7.onnx net-7.int8.onnx --data digits.npz --alias candidate
  $ tideway traffic set digits --stable latest --canary candidate --percent 5`,
    )
    .action(async (files: string[], options: RegisterCommand) => {
      const { data: path, target, image, scale, classes, alias } = options
      // What computes comes with this command alone.
      const { orderOf } = await import('../register/order.js')
      const named = await orderOf(files, options)
      const client = await connect(options)
      const { registerFiles } = await import('../register/register.js')
      const { createOnnxNodeRuntime } = await import('@tideway/runtime-onnx-node')
      const { otherEngines } = await import('../pipeline/engines.js')
      const { createArtifacts } = await import('../trainer/artifacts.js')
      const data = path === undefined ? undefined : { path, target, image, scale }
      const tools = {
        runtime: createOnnxNodeRuntime(),
        others: await otherEngines(),
        artifacts: createArtifacts(client),
      }
      const registered = await steps.waiting('trying it, and sending it', () =>
        registerFiles({ ...named, aliases: alias, classes, data }, tools),
      )
      print(options.json, registered, () => summary(registered, alias))
    })
}

function summary(
  { version, created, variants, classes, metrics, notes }: Registration,
  aliases: readonly string[],
): string {
  const { model, version: number, manifestDigest } = version
  const rows = variants.map(({ id, precision, files, knownAnswers }) => [
    id,
    bytesText(files[0]!.size),
    `${knownAnswers.rows} rows within ${knownAnswers.tolerance.toPrecision(2)}`,
    Object.entries(metrics)
      .filter(([name]) => name.endsWith(`.${precision}`))
      .map(([name, value]) => `${name.split('.')[0]} ${value.toFixed(4)}`)
      .join(', '),
  ])
  return [
    `${model} version ${number}${created ? '' : ' (it was there already)'}, ${short(manifestDigest)}: ${aliases.join(', ')}`,
    table(['variant', 'size', 'known answers', 'scores'], rows),
    ...(classes ? [`classes by index: ${visible(classes.join(', '))}`] : []),
    ...notes.map(visible),
  ].join('\n')
}
