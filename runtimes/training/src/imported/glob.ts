/**
 * Whether a name fits a pattern in which `*` stands for any text and `?` for one character; everything else, dots and
 * slashes too, stands for itself. Linear in name times pattern: no pattern takes exponential time.
 */
export function fits(pattern: string, name: string): boolean {
  let at = 0
  let from = 0
  let star = -1
  let resume = 0
  while (at < name.length) {
    if (pattern[from] === '*') {
      star = from++
      resume = at
    } else if (from < pattern.length && (pattern[from] === '?' || pattern[from] === name[at])) {
      from++
      at++
    } else if (star >= 0) {
      from = star + 1
      at = ++resume
    } else return false
  }
  while (pattern[from] === '*') from++
  return from === pattern.length
}
