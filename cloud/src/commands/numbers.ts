/** Texts of the command line by their flags, those that were not given too. */
export type Parts = Readonly<Record<string, string | undefined>>

/** An issue for each that is given and no number. */
export function numberIssues(parts: Parts): string[] {
  return Object.entries(parts).flatMap(([flag, text]) =>
    text === undefined || (text.trim() !== '' && Number.isFinite(Number(text))) ? [] : [`${flag} must be a number`],
  )
}
