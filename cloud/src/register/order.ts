import { isId } from '@tideway/core/serving'
import { fileIssue, namedFile, nameIssue } from '../config/named-file.js'
import { cloudErrors } from '../errors.js'

/** What the command line says of files, not narrowed yet. */
export interface RegisterNames {
  readonly alias: readonly string[]
  readonly classes?: readonly string[]
}

/**
 * Narrows the command line: the first file names the model, `[NAME=]FILE`. Throws `REGISTER_ORDER_INVALID` naming everything that
 * is wrong.
 */
export async function orderOf(
  [first = '', ...others]: readonly string[],
  { alias, classes = [] }: RegisterNames,
): Promise<{ readonly model: string; readonly files: readonly string[] }> {
  const named = namedFile(first)
  const files = [named.file, ...others]
  const missing = await Promise.all(files.map(fileIssue))
  const issues = [
    ...nameIssue(named),
    ...missing.flat(),
    ...others
      .filter((file) => /^[a-z0-9][\w-]*=/.test(file))
      .map((file) => `${file}: only the first file takes a name`),
    ...files.filter((file, at) => files.indexOf(file) < at).map((file) => `${file}: it is named twice`),
    ...alias.filter((name) => !isId(name) || /^\d+$/.test(name)).map((name) => `--alias ${name}: it is no name`),
    ...classes.filter((name, at) => classes.indexOf(name) < at).map((name) => `--classes: ${name} is there twice`),
  ]
  if (issues.length > 0) throw cloudErrors.REGISTER_ORDER_INVALID({ issues })
  return { model: named.model, files }
}
