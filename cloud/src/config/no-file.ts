import { isAbsolute, resolve } from 'node:path'

/** What is said of a path at which nothing is: also where that is, since what runs a command may change its folder. */
export function noFile(file: string): string {
  return `there is no such file${isAbsolute(file) ? '' : ` (${resolve(file)})`}`
}
