import type { CloudConfig } from '@tideway/core'
import { fileIssue, type NamedFile, namedFile, nameIssue } from '../config/named-file.js'
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
  const missing = await Promise.all(files.map(({ file }) => fileIssue(file)))
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
