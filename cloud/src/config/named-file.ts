import { stat } from 'node:fs/promises'
import { basename, isAbsolute, resolve } from 'node:path'
import { isId } from '@tideway/core/serving'

/** A file of the command line, and the name of the model that is in it. */
export interface NamedFile {
  readonly model: string
  readonly file: string
}

/** `[NAME=]FILE.onnx`: what stands before the first `=` is the name, unless it is a part of a path. */
export function namedFile(argument: string): NamedFile {
  const at = argument.indexOf('=')
  if (at > 0 && !/[\\/]/.test(argument.slice(0, at)))
    return { model: argument.slice(0, at), file: argument.slice(at + 1) }
  return { model: basename(argument).replace(/\.onnx$/i, ''), file: argument }
}

/** What is wrong with the name; empty where nothing is. */
export function nameIssue({ model, file }: NamedFile): string[] {
  if (isId(model)) return []
  const rule = 'a name is 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit'
  return [`${file}: ${JSON.stringify(model.slice(0, 80))} is no name of a model (${rule}): write NAME=${file}`]
}

/** What is wrong with the file, as far as can be seen without reading it; empty where nothing is. */
export async function fileIssue(file: string): Promise<string[]> {
  try {
    const found = await stat(file)
    if (!found.isFile()) return [`${file}: it is no file`]
    return found.size === 0 ? [`${file}: it is empty`] : []
  } catch {
    return [`${file}: ${noFile(file)}`]
  }
}

/** What is said of a path at which nothing is: also where that is, since what runs a command may change its folder. */
export function noFile(file: string): string {
  return `there is no such file${isAbsolute(file) ? '' : ` (${resolve(file)})`}`
}
