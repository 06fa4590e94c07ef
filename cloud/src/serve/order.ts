import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { CloudConfig } from '@tideway/core'
import { isId } from '@tideway/core/serving'
import { noFile } from '../config/no-file.js'
import { cloudErrors } from '../errors.js'

/** What the command line says, not narrowed yet. */
export interface ServeOptions {
  readonly host?: string
  readonly port?: string
  readonly grpc?: string
  readonly threads?: string
  readonly maxBatchRows?: string
  readonly maxDelayMs?: string
  readonly config?: string
  readonly json?: boolean
}

export interface NamedFile {
  readonly model: string
  readonly file: string
}

/** What is to be served, and how. */
export interface ServeOrder {
  readonly files: readonly NamedFile[]
  readonly given: Pick<CloudConfig, 'http' | 'grpc' | 'serving'>
}

/**
 * Narrows the command line: `[NAME=]FILE` each, the name by default what the file is called without its ending. Throws
 * `SERVE_ORDER_INVALID` naming everything that is wrong.
 */
export async function orderOf(args: readonly string[], options: ServeOptions): Promise<ServeOrder> {
  const files = args.map(namedFile)
  const numbers = new Numbers(options)
  const [host, port, grpcPort] = [options.host, numbers.of('port', 0, 65_535), numbers.of('grpc', 0, 65_535)]
  const serving = {
    threads: numbers.of('threads', 1, 1_024),
    maxBatchRows: numbers.of('maxBatchRows', 1, 1_000_000),
    maxDelayMs: numbers.of('maxDelayMs', 0, 60_000),
  }
  const missing = await Promise.all(files.map(fileIssue))
  const issues = [
    ...files.flatMap(nameIssue),
    ...files.flatMap(({ model, file }, at) => {
      const first = files.findIndex((other) => other.model === model)
      return first < at ? [`${file}: ${files[first]!.file} has the name ${model} already: write NAME=${file}`] : []
    }),
    ...missing.flat(),
    ...(host?.trim() === '' ? ['--host: must be an address or a name'] : []),
    ...numbers.issues,
  ]
  if (issues.length > 0) throw cloudErrors.SERVE_ORDER_INVALID({ issues })
  const grpc = grpcPort === undefined ? undefined : { host, port: grpcPort }
  return { files, given: { http: { host, port }, grpc, serving } }
}

/** What stands before the first `=` is the name, unless it is a part of a path. */
function namedFile(argument: string): NamedFile {
  const at = argument.indexOf('=')
  if (at > 0 && !/[\\/]/.test(argument.slice(0, at)))
    return { model: argument.slice(0, at), file: argument.slice(at + 1) }
  return { model: basename(argument).replace(/\.onnx$/i, ''), file: argument }
}

function nameIssue({ model, file }: NamedFile): string[] {
  if (isId(model)) return []
  const rule = 'a name is 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit'
  return [`${file}: ${JSON.stringify(model.slice(0, 80))} is no name of a model (${rule}): write NAME=${file}`]
}

async function fileIssue({ file }: NamedFile): Promise<string[]> {
  try {
    const found = await stat(file)
    if (!found.isFile()) return [`${file}: it is no file`]
    return found.size === 0 ? [`${file}: it is empty`] : []
  } catch {
    return [`${file}: ${noFile(file)}`]
  }
}

/** Whole numbers of the command line; each that is none, or out of its range, is an issue. */
class Numbers {
  readonly issues: string[] = []

  constructor(private readonly options: ServeOptions) {}

  of(
    name: 'port' | 'grpc' | 'threads' | 'maxBatchRows' | 'maxDelayMs',
    least: number,
    most: number,
  ): number | undefined {
    const text = this.options[name]
    if (text === undefined) return undefined
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    this.issues.push(`--${option} ${text.slice(0, 40)}: must be a whole number, ${least} to ${most}`)
    return undefined
  }
}
