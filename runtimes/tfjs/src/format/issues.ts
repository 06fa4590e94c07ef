import { errors } from '@tideway/core'

/** A hostile file may be wrong a million times; the first ones tell it. */
const MOST_ISSUES = 20

/** Throws `MODEL_INVALID` naming every bad field, if there is one. */
export function refuse(issues: readonly string[], cause?: unknown): void {
  if (issues.length > 0) throw errors.MODEL_INVALID({ reason: listed(issues).join('; ') }, cause)
}

/** The first of many, and how many more there are. */
export function listed(issues: readonly string[]): readonly string[] {
  if (issues.length <= MOST_ISSUES) return issues
  return [...issues.slice(0, MOST_ISSUES), `and ${issues.length - MOST_ISSUES} more`]
}

/** A name from a file, short enough for a message. */
export function quote(text: unknown): string {
  return JSON.stringify(String(text).slice(0, 80))
}
