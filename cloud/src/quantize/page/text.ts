const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * Control characters and those without a picture, which turn the direction of what follows or join it: a name could hide
 * or rearrange text with them. Surrogates without a partner cannot be written as UTF-8.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A name from outside as one line that shows what it is. */
export function visible(name: string): string {
  return name.replace(UNSEEN, (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`)
}

/** The same, no longer than `most` characters: its end is what tells names of layers apart. */
export function shortened(name: string, most = 40): string {
  const characters = Array.from(visible(name))
  return characters.length <= most ? characters.join('') : `…${characters.slice(1 - most).join('')}`
}

/** A text from outside for HTML and SVG, in elements and in quoted attributes. */
export function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}

export const bytesText = (bytes: number): string =>
  bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(2)} MiB`

export const percentText = (share: number | null | undefined, digits = 2): string =>
  typeof share === 'number' && Number.isFinite(share) ? `${(100 * share).toFixed(digits)}%` : 'not a number'

/** A difference of shares in percentage points, with its sign. */
export function pointsText(difference: number | null | undefined): string {
  if (typeof difference !== 'number' || !Number.isFinite(difference)) return 'not a number'
  const text = (100 * difference).toFixed(2)
  return Number(text) === 0 ? '0.00' : difference > 0 ? `+${text}` : text.replace('-', '−')
}

export function millisecondsText(milliseconds: number): string {
  return `${milliseconds < 10 ? Number(milliseconds.toPrecision(3)) : milliseconds.toFixed(1)} ms`
}
